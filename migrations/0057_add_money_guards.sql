-- Rows of money stay as they were written (L-32, L-33; LD-50, LD-54).
--
-- What: triggers, so that no function, and nobody at a psql prompt by mistake, changes what was booked. A fee is a fact; a correction is a
-- row that reverses it. A refund has a life: it is asked for (pending, approved) and becomes completed or rejected. Only that may change
-- on it, and what the provider adds (its ids, the sum it really gave back). A completed one never changes again; a rejected one only
-- to completed, where the provider thinks better of it. No refund changes its order, its payment, who asked for it, when or why.
--
-- Commissions (0056) and the code ledger (0011) are append-only in the same way.
--
-- Rejected: a second table of refund events (the row's few states are all there is to know, and the audit says who asked).

set local role lonieve_owner;

create trigger transaction_fees_append_only before update or delete or truncate on shop.transaction_fees
  for each statement execute function ops.refuse_change();
create trigger refunds_never_removed before delete or truncate on shop.refunds
  for each statement execute function ops.refuse_change();

create function shop.guard_refund() returns trigger
language plpgsql set search_path = '' as $$
begin
  if old.status = 'completed'
     or (new.id, new.tenant_id, new.order_id, new.payment_id, new.kind, new.refund_type, new.refund_reason, new.requested_by, new.requested_at)
        is distinct from
        (old.id, old.tenant_id, old.order_id, old.payment_id, old.kind, old.refund_type, old.refund_reason, old.requested_by, old.requested_at)
     or (new.refund_amount <> old.refund_amount and new.status <> 'completed')
     or (old.status = 'rejected' and new.status <> 'completed')
     or (old.status = 'approved' and new.status = 'pending') then
    raise exception 'shop.refunds is append-only: a % refund may not be changed like this', old.status using errcode = '55000';
  end if;
  return new;
end
$$;
comment on function shop.guard_refund() is 'Row trigger: which changes of a refund are allowed; any other is 55000.';
create trigger refunds_guarded before update on shop.refunds for each row execute function shop.guard_refund();
