"""What must happen after a commit: rows written with the act, sent until a worker has done them.

``send`` writes one message inside the act's transaction. A relay (``engine.outbox.relay``) sweeps the
table and hands messages to dramatiq; a worker (``engine.outbox.worker``) runs the handler in the
organization's context and removes the row when the effect has committed. Redis may lose everything
that it holds and nothing is lost: the table is the truth.
"""

from engine.outbox.messages import Message, OutsideTransaction, send
from engine.outbox.registry import Postpone, UnknownMessage, handler

__all__ = ["Message", "OutsideTransaction", "Postpone", "UnknownMessage", "handler", "send"]
