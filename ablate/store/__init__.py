"""What lies on disk and what names it: folders, ids, and the forms in which values are written and read."""
