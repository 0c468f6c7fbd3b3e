"""What each chapter concludes: its tables in, one paragraph of Markdown out."""
