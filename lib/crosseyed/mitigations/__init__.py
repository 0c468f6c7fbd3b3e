"""What helps without training: mitigations, poolings and heads, and their evaluation."""
