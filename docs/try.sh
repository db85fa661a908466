# What to type at a stack of the shop that is up: stock comes, an order is placed and cancelled. `make up` prints these lines, and
# says what API and TOKEN are. Each command has a key of its own, so that typing it twice does it once.
curl -sS "$API/stock/tea/receipts" -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' -H 'idempotency-key: receive-1' -d '{"quantity":10}'
curl -sS "$API/orders" -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' -H 'idempotency-key: place-1' -d '{"customer_id":"c-1","lines":[{"sku":"tea","quantity":2,"unit_price_cents":450}]}'
ORDER=…  # the order_id in the answer
curl -sS "$API/orders/$ORDER/cancel" -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' -H 'idempotency-key: cancel-1' -d '{"reason":"too late"}'
