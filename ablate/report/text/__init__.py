"""Words and tables of a report."""
