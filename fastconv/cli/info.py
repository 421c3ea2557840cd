"""`fastconv info`: what this installation is, and which engines it can be compared with."""

from .. import show_config
from .peers import PEERS


def run(args):
    """Run the command."""
    show_config()
    distinct = {peers[0].package: word for word, peers in reversed(PEERS.items())}
    found = [f"{word} {PEERS[word][0].version}" for word in reversed(distinct.values()) if PEERS[word][0].installed]
    absent = [word for word in reversed(distinct.values()) if not PEERS[word][0].installed]
    print(f"{'to compare with:':<17} {', '.join(found) or 'no other engine'}", end="")
    print(f" (not installed: {', '.join(absent)})" if absent else "")
