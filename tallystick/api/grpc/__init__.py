"""gRPC: the operations table as the services of contracts/tallystick.proto, with health and reflection."""

import os

os.environ.setdefault(
    "GRPC_ENABLE_FORK_SUPPORT", "0"
)  # before the library is loaded: a process that is started here is
# another program at once and never speaks gRPC, and the library would talk about each on standard error
