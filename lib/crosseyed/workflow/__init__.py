"""From a command to an edition of the book: execution, results, sweeps and rendering."""
