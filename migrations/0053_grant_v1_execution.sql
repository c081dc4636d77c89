-- Who may call the functions of Cardlink v1; see 0034.

set local role lonieve_owner;

grant execute on function api.find_bill(jsonb) to edge_cardlink;
grant execute on function api.settle_refund(jsonb) to edge_cardlink;
grant execute on function api.settle_chargeback(jsonb) to edge_cardlink;
grant execute on function api.parked_bills(jsonb) to edge_jobs;
