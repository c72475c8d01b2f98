"""What comes in from real agents: bytes of a request in, accepted vitals out.

`vitals_json` reads the body of ``POST /api/vitals``, `otlp` the traces that agent frameworks send,
`replay` recorded files of either. All of it is synchronous and has neither clock nor network: the
web part hands in bytes and the time, and gets back vitals, refusals and counts.

The text of prompts, messages, arguments and results ends here. What is needed of it (was it the
same call, the same result, the same prompt?) leaves as a hash salted per installation.
"""
