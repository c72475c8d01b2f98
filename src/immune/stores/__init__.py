"""Where things are kept: the workflow in SQL, the vitals in a file of their own."""
