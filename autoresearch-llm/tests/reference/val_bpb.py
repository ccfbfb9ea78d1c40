"""val_bpb from its definition, in plain Python: nats over bytes, in bits; tokens without bytes count in neither."""

import json
import math
import sys

case = json.load(sys.stdin)
nats = math.fsum(
    loss for loss, token in zip(case["losses"], case["targets"]) if case["token_bytes"][token] > 0
)
size = sum(case["token_bytes"][token] for token in case["targets"])
print(repr(nats / (math.log(2) * size)))
