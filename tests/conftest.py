"""What holds for every test."""

import os

# New processes that tests start must import the package under test, not the source folder that they are started in.
os.environ["PYTHONSAFEPATH"] = "1"
