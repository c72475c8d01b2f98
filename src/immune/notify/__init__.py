"""Telling people: the log always, and a signed webhook where one is set.

Each notifier keeps the contract of `immune.ports.Notifier`: at least once, everything in one
message, Transient to be called again.
"""

from __future__ import annotations

from immune.notify.log import LogNotifier
from immune.notify.several import SeveralNotifiers
from immune.notify.webhook import WebhookNotifier, signature

__all__ = ["LogNotifier", "SeveralNotifiers", "WebhookNotifier", "signature"]
