"""All use of private parts of other libraries: one file for each library."""
