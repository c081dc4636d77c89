-- Who may call what v1 added.
--
-- What: `find_bill`, `settle_refund` and `settle_chargeback` for the cardlink Worker; one grant a line, as in 0034.

set local role lonieve_owner;

grant execute on function api.find_bill(jsonb) to edge_cardlink;
grant execute on function api.settle_refund(jsonb) to edge_cardlink;
grant execute on function api.settle_chargeback(jsonb) to edge_cardlink;
