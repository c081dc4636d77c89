-- Who may call what the files 0056 to 0060 added.
--
-- What: staff ask for a refund in their own name; jobs carries it out and folds the counters. One grant a line, as in 0034.

set local role lonieve_owner;

grant execute on function api.refund_order(jsonb) to authenticated;
grant execute on function api.claim_refunds(jsonb) to edge_jobs;
grant execute on function api.begin_refund(jsonb) to edge_jobs;
grant execute on function api.finish_refund(jsonb) to edge_jobs;
grant execute on function api.fold_counters(jsonb) to edge_jobs;
