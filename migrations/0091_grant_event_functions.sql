-- Who may call the functions of 0088 and 0089: one line per function and role.
--
-- What: the events Worker stores what a queue brings, keeps what cannot be stored, and asks whether a page of another origin may read its
-- answers (`check_origin`, 0038); jobs replays what was kept. The functions of `analytics` and `ops` are granted to nobody.

set local role lonieve_owner;

grant execute on function api.ingest_event_batches(jsonb) to edge_events;
grant execute on function api.park_events(jsonb) to edge_events;
grant execute on function api.check_origin(jsonb) to edge_events;
grant execute on function api.replay_events(jsonb) to edge_jobs;
