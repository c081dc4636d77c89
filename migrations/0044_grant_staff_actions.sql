-- Who may call the staff functions: one line per function.
--
-- What: signed-in people, with their own token. Each function begins with ops.require_staff, so a customer who is signed in gets 42501
-- from inside. The Workers' roles get none of them: the admin Worker forwards the member's token and has no staff rights of its own.

set local role lonieve_owner;

grant execute on function api.check_staff(jsonb) to authenticated;
grant execute on function api.staff_stock(jsonb) to authenticated;
grant execute on function api.staff_products(jsonb) to authenticated;
grant execute on function api.create_product(jsonb) to authenticated;
grant execute on function api.update_product(jsonb) to authenticated;
grant execute on function api.staff_orders(jsonb) to authenticated;
grant execute on function api.resend_order(jsonb) to authenticated;
grant execute on function api.resolve_order(jsonb) to authenticated;
grant execute on function api.staff_alerts(jsonb) to authenticated;
grant execute on function api.resolve_alert(jsonb) to authenticated;
