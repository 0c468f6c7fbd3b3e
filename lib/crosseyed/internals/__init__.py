"""What happens inside a tower: traces, attention, decompositions, attributions and probes."""
