# What to type at a help desk that is up: a ticket is opened and closed. `make up` prints these lines, and says what API and TOKEN
# are. Each command has a key of its own, so that typing it twice does it once.
curl -sS "$API/tickets" -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' -H 'idempotency-key: open-1' -d '{"subject":"It pours in"}'
TICKET=…  # the ticket_id in the answer
curl -sS "$API/tickets/$TICKET/close" -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' -H 'idempotency-key: close-1' -d '{"answer":"The roof is mended"}'
curl -sS "$API/tickets/$TICKET" -H "authorization: Bearer $TOKEN"
