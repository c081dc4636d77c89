-- The state machine of docs/state-machine.md, kept by the database itself.
--
-- What: `order_transitions` lists every change of an order's status and fulfilment, of a payment's status and of a code's that there is;
-- a trigger refuses any other with LV010, whoever asks: a function of ours with a mistake in it, or a person with psql. `order_states`
-- lists which fulfilment may stand beside which status; orders refer to it by a foreign key that is looked at when the transaction
-- ends, because on the way a function may write one column before the other.
--
-- Called by every update of those columns. LV010 is nobody's answer: it means a defect, rolls the transaction back and reaches a Worker as
-- an unexpected error of the database. tests/tests/state_matrix compares both tables with the document, row by row.
--
-- A refund that staff ask for revokes codes nobody has seen before the money has gone back: the order is `paid` and `revoked` meanwhile. Where
-- the provider refuses it, the order is owed codes and waits for others: from `paid` back to `manual_review`.
--
-- A row does not start anywhere but where its table's functions put it: orders pending, payments pending, codes available. Inserts are not
-- looked at (imports of old orders, and tests, put in what has been).
--
-- Rejected: the lists in CHECKs or in the trigger (a new state would be a new function; the document could not be compared), one list of
-- pairs of whole rows (status, fulfilment and reason together are some hundred pairs of which most are the same change).

set local role lonieve_owner;

create table shop.order_transitions (
  subject text not null constraint order_transitions_subject_known check (subject in ('status', 'fulfilment', 'payment', 'code')),
  from_state text not null,
  to_state text not null,
  constraint order_transitions_pkey primary key (subject, from_state, to_state)
);
alter table shop.order_transitions enable row level security;
comment on table shop.order_transitions is 'Every change of state there is: of orders (status, fulfilment), payments and codes. docs/state-machine.md says the same.';

insert into shop.order_transitions (subject, from_state, to_state)
select v.subject, v.from_state, unnest(v.to_states)
from (values
  ('status', 'pending', array['paid', 'manual_review', 'failed', 'expired']),
  ('status', 'failed', array['paid', 'manual_review']),
  ('status', 'expired', array['paid', 'manual_review']),
  ('status', 'manual_review', array['paid', 'partially_refunded', 'refunded', 'chargeback']),
  ('status', 'paid', array['partially_refunded', 'refunded', 'chargeback', 'manual_review']),
  ('status', 'partially_refunded', array['refunded', 'chargeback', 'manual_review']),
  ('fulfilment', 'reserved', array['none', 'delivered']),
  ('fulfilment', 'none', array['waiting', 'delivered']),
  ('fulfilment', 'waiting', array['none', 'delivered']),
  ('fulfilment', 'delivered', array['revoked']),
  ('fulfilment', 'revoked', array['waiting']),
  ('payment', 'pending', array['paid', 'failed', 'expired']),
  ('payment', 'failed', array['paid']),
  ('payment', 'expired', array['paid']),
  ('payment', 'paid', array['refunded', 'chargeback']),
  ('code', 'available', array['reserved', 'sold', 'revoked']),
  ('code', 'reserved', array['available', 'sold', 'revoked']),
  ('code', 'sold', array['revoked'])
) v (subject, from_state, to_states);

create table shop.order_states (
  status text not null,
  fulfilment text not null,
  constraint order_states_pkey primary key (status, fulfilment)
);
alter table shop.order_states enable row level security;
comment on table shop.order_states is 'Which fulfilment may stand beside which status when a transaction ends. docs/state-machine.md says the same.';

insert into shop.order_states (status, fulfilment)
select v.status, unnest(v.fulfilments)
from (values
  ('pending', array['reserved']),
  ('failed', array['reserved', 'none']),
  ('expired', array['none']),
  ('manual_review', array['reserved', 'none', 'waiting']),
  ('paid', array['delivered', 'none', 'revoked']),
  ('partially_refunded', array['delivered', 'none', 'revoked']),
  ('refunded', array['revoked', 'none']),
  ('chargeback', array['revoked', 'none'])
) v (status, fulfilments);

alter table shop.orders add constraint orders_state_known foreign key (status, fulfilment) references shop.order_states (status, fulfilment)
  on delete restrict deferrable initially deferred;
comment on constraint orders_state_known on shop.orders is 'Looked at when the transaction ends.';

create function shop.refuse_unknown_transition() returns trigger
language plpgsql set search_path = '' as $$
declare
  v_from text := to_jsonb(old) ->> tg_argv[1];
  v_to text := to_jsonb(new) ->> tg_argv[1];
begin
  if not exists (select from shop.order_transitions t where t.subject = tg_argv[0] and t.from_state = v_from and t.to_state = v_to) then
    raise exception '% of % cannot become % from %', tg_argv[0], old.id, v_to, v_from using errcode = 'LV010';
  end if;
  return new;
end
$$;
comment on function shop.refuse_unknown_transition() is
  'Trigger: refuses a change that order_transitions does not list, with LV010. Arguments: the subject there, the column here.';

create trigger orders_status_transition before update of status on shop.orders
  for each row when (old.status is distinct from new.status) execute function shop.refuse_unknown_transition('status', 'status');
create trigger orders_fulfilment_transition before update of fulfilment on shop.orders
  for each row when (old.fulfilment is distinct from new.fulfilment) execute function shop.refuse_unknown_transition('fulfilment', 'fulfilment');
create trigger payments_status_transition before update of status on shop.payments
  for each row when (old.status is distinct from new.status) execute function shop.refuse_unknown_transition('payment', 'status');
create trigger gift_codes_status_transition before update of status on shop.gift_codes
  for each row when (old.status is distinct from new.status) execute function shop.refuse_unknown_transition('code', 'status');
