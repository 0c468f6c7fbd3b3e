"""Coursework: labs from their sources, what is handed out, and grading."""
