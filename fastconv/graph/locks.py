"""What threads hold one at a time, in this process: several programs, and several models, share it."""

import os
import threading


class Locks:
    """The locks of a process; a child made by a fork has new ones, since threads that held the old do not exist there."""

    def __init__(self):
        # Programs that update variables: two of them, for two batch sizes say, may share their variables.
        self.writing = threading.Lock()
        # Making constants anew: programs share them.
        self.constants = threading.Lock()
        # Making an entry of a cache. Reentrant: tracing a step may ask for shapes, which are entries, too.
        self.making = threading.RLock()


LOCKS = Locks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=LOCKS.__init__)
