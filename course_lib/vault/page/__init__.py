"""What the class sees live, and the instructor's view; static/ is what a browser gets, html/ what its two pages are made of."""
