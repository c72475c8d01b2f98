"""OTLP traces of real agent frameworks, turned into vitals.

bytes -> `decode` -> `Span` records with text already hashed away -> `assemble`, which joins the
spans of a trace as they arrive -> vitals. `names` is the one table of what each dialect calls a
thing, `facts` what it says in any of them, `content` what is hashed; `spans` says what kind of
work a span is, `tree` what belongs to what, `identity` whose work it was, `steps` which numbers a
step gets.
"""
