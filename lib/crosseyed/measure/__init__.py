"""What is measured, and with which uncertainty: protocols, intervals, regressions and tests."""
