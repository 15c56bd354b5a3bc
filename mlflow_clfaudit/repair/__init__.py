"""From a diagnosis to a mended model: the fixes that an audit has proven, applied, measured and logged beside the run.

`mending` is the way through; a kind of repair is one module under `kinds`, registered by the names of the checks whose
findings it mends.
"""
