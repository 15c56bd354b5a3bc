"""A report in every form that it is read in: one module a form, each a pure function of the Report."""
