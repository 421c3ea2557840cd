"""From Python to one C call: trace -> `Graph` -> passes -> memory plan -> `Program`.

graph = trace(fn, {"x": Spec((32, 28, 28, 1))})     fn runs once, on tensors that hold graph values
print(graph)                                        one line a node
for name, after in explain(graph): print(after)     what the passes make of it
program = Program(graph)                            plans, memory and C steps
program.memory_plan()                               bytes, before it runs
program.run(x=images)                               {name: array}, variables updated in place
"""

from .cache import ProgramCache
from .graph import Graph, Node, Value
from .passes import explain, optimize
from .profile import profile
from .program import Program
from .report import MemoryReport
from .trace import labelled, trace

__all__ = [
    "Graph",
    "MemoryReport",
    "Node",
    "Program",
    "ProgramCache",
    "Value",
    "explain",
    "labelled",
    "optimize",
    "profile",
    "trace",
]
