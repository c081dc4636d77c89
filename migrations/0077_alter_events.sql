-- Two columns of events: which program sent one, and the ids that advertising networks put into the addresses they send people to.
--
-- What: `bot` names the program where the sender was no person; null is a person. Programs are stored, not dropped (a wrong list must cost
-- nothing), and every report of visits leaves them out. `click_ids` keeps gclid, fbclid and their like as they came, since conversions
-- are reported back to the network under them.
--
-- Called by: `api.ingest_events` writes both, the reports of schema `analytics` read `bot`.
--
-- Rejected: a column per network (a new network would be a migration); a boolean (a wrong entry of the list could not be found).

set local role lonieve_owner;

alter table analytics.events
  add column bot text constraint events_bot_length check (length(bot) between 1 and 64),
  add column click_ids jsonb constraint events_click_ids_object check (ops.is_json_object(click_ids))
    constraint events_click_ids_size check (octet_length(click_ids::text) <= 4096);
comment on column analytics.events.bot is 'The program that sent this, as the list of known programs names it; null for people. Reports of visits leave programs out.';
comment on column analytics.events.click_ids is 'Ids of advertising networks out of the address of the visit, by parameter: {"gclid": "..."}.';
