"""The system on HTTP: REST, server-sent events and the page.

`WebDashboard` is one ASGI application. Intake's two hot paths and the event stream are plain ASGI
callables in front of Quart; everything else is a table of routes whose handlers know no framework:
they take what was read of the request and return records.
"""

from immune.web.app import WebDashboard
from immune.web.ports import Intake

__all__ = ["Intake", "WebDashboard"]
