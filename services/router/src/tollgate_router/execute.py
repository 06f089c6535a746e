"""One call, from its reservation to its end message.

Owns the upstream's answer. Promises: exactly one message for a unary call; for a stream one message
per upstream read, the last with the end; the end says what was used and what it costs, whatever
happened; a stream is cut when its cost reaches what was reserved; a caller that vanishes does not
stop the metering: the answer is drained, within bounds, in the must-finish group and logged.
"""

import asyncio
from collections.abc import AsyncIterator

from tollgate.router.v1 import router_pb2
from tollgate_dialects import upstream_error
from tollgate_dialects.meter import BodyMeter, StreamMeter
from tollgate_kit.clock import Clock
from tollgate_kit.lifecycle import MustFinish
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_router import charge, messages
from tollgate_router.attempts import Attempts, Call, ContactRefused, NotOpened, Opened
from tollgate_router.catalogue_watch import CatalogueWatch
from tollgate_router.config import Config
