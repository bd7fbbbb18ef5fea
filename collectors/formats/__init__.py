"""Log lines of registries -> flat ECS documents (DESIGN section 4), one file a family (docs/logs.md).

One request is often logged twice: the access line (`event.dataset` distribution.access) has no duration,
the application line "response completed" (distribution.app) has one; latency comes from the latter only.
"""

from collectors.formats.heads import Payload, split_head
from collectors.formats.lines import parse_line, parse_payload
from collectors.formats.masking import MASK, mask_text, mask_url
from collectors.formats.values import Fields, go_duration, host_of

__all__ = [
    "MASK", "Fields", "Payload", "go_duration", "host_of", "mask_text", "mask_url", "parse_line",
    "parse_payload", "split_head",
]  # fmt: skip
