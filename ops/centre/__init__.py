"""The control centre: what the command line sees and does, as an API and a page, for named people
with roles. It changes nothing by ways of its own."""
