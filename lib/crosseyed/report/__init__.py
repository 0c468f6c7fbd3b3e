"""What readers see: figures, notices and sentences."""
