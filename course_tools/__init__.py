"""The course's tools: they turn notebooks into a library, tests and a site, and check answers.

They work on a checkout of the course and are no part of the library: its wheel lacks them.
"""

import logging

# transformers imports torchao, where there is one, with every model; what both say of it then
# (no library for GPUs, a name that will change) is no reader's concern.
for _talker in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_talker).setLevel(logging.ERROR)
