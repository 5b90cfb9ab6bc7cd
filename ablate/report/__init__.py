"""Write what a study's records show, as tables, figures and text."""
