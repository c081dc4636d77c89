-- Phone numbers in one form (O-65, OD-13): `8 (777) 123-45-67` and `+7 777 123 45 67` are one number, `+77771234567`.
--
-- What: a table of the world's numbering plans (calling code, trunk prefix, how long a national number is, own international prefix) and
-- `crm.normalize_phone`, which needs nothing else. Called by `api.capture_lead`; an import of leads must use it too, because the unique
-- key of a lead is its result.
--
-- Why here and not in the Worker: the country that a number without `+` belongs to is a setting of the tenant, and the tenant is found inside
-- the call. Decision 0020 has the rest, and what the rule cannot do.
--
-- Source of the table: Google's libphonenumber (as packaged in libphonenumber-js 1.13.16; lengths of fixed and mobile numbers), checked against its
-- example number of every country. Italy's numbers end at 11 digits here, not 12: else 39 333 123 4567 without `+` would be one of its own.
-- A plan that changes is an UPDATE in a new migration.
--
-- Rejected: a pattern per country of which ranges are in use (they change monthly; a wrong one turns a customer away).

set local role lonieve_owner;

create table crm.phone_plans (
  country text constraint phone_plans_pkey primary key constraint phone_plans_country_iso check (country ~ '^[A-Z]{2}$'),
  calling_code text not null constraint phone_plans_calling_code_digits check (calling_code ~ '^[1-9][0-9]{0,2}$'),
  trunk_prefix text,
  min_length integer not null,
  max_length integer not null,
  international_prefix text,
  constraint phone_plans_lengths check (min_length between 4 and max_length and length(calling_code) + max_length <= 18)
);
alter table crm.phone_plans enable row level security;
create index phone_plans_calling_code on crm.phone_plans (calling_code);
comment on table crm.phone_plans is 'Numbering plans of the world, by country. Facts, the same for every tenant.';
comment on column crm.phone_plans.trunk_prefix is 'What is dialled before a national number inside the country and not from abroad (a pattern: Belarus has 8, 80 and 0); null where there is none.';
comment on column crm.phone_plans.min_length is 'Shortest national number in digits, without trunk prefix.';
comment on column crm.phone_plans.international_prefix is 'What is dialled for abroad, where it is not 00.';

insert into crm.phone_plans (country, calling_code, trunk_prefix, min_length, max_length, international_prefix) values
  ('AC','247',null,5,5,null), ('AD','376',null,6,9,null), ('AE','971','0',8,9,null), ('AF','93','0',9,9,null),
  ('AG','1','1',10,10,'011'), ('AI','1','1',10,10,'011'), ('AL','355','0',8,9,null), ('AM','374','0',8,8,null),
  ('AO','244',null,9,9,null), ('AR','54','0',10,11,null), ('AS','1','1',10,10,'011'), ('AT','43','0',4,13,null),
  ('AU','61','0',9,9,'0011'), ('AW','297',null,7,7,null), ('AX','358','0',6,10,null), ('AZ','994','0',9,9,null),
  ('BA','387','0',8,9,null), ('BB','1','1',10,10,'011'), ('BD','880','0',6,10,null), ('BE','32','0',8,9,null),
  ('BF','226',null,8,8,null), ('BG','359','0',6,9,null), ('BH','973',null,8,8,null), ('BI','257',null,8,8,null),
  ('BJ','229',null,10,10,null), ('BL','590','0',9,9,null), ('BM','1','1',10,10,'011'), ('BN','673',null,7,7,null),
  ('BO','591','0',8,8,null), ('BQ','599',null,7,7,null), ('BR','55','0',10,11,null), ('BS','1','1',10,10,'011'),
  ('BT','975',null,7,8,null), ('BW','267',null,7,8,null), ('BY','375','0|80?',9,9,'810'), ('BZ','501',null,7,7,null),
  ('CA','1','1',10,10,'011'), ('CC','61','0',9,9,'0011'), ('CD','243','0',7,10,null), ('CF','236',null,8,8,null),
  ('CG','242',null,9,9,null), ('CH','41','0',9,9,null), ('CI','225',null,10,10,null), ('CK','682',null,5,5,null),
  ('CL','56',null,9,9,null), ('CM','237',null,9,9,null), ('CN','86','0',7,11,null), ('CO','57','0',8,10,null),
  ('CR','506',null,8,8,null), ('CU','53','0',6,10,null), ('CV','238',null,7,7,null), ('CW','599',null,7,8,null),
  ('CX','61','0',9,9,'0011'), ('CY','357',null,8,8,null), ('CZ','420',null,9,9,null), ('DE','49','0',5,15,null),
  ('DJ','253',null,8,8,null), ('DK','45',null,8,8,null), ('DM','1','1',10,10,'011'), ('DO','1','1',10,10,'011'),
  ('DZ','213','0',8,9,null), ('EC','593','0',8,9,null), ('EE','372',null,7,8,null), ('EG','20','0',8,10,null),
  ('EH','212','0',9,9,null), ('ER','291','0',7,7,null), ('ES','34',null,9,9,null), ('ET','251','0',9,9,null),
  ('FI','358','0',5,10,null), ('FJ','679',null,7,7,null), ('FK','500',null,5,5,null), ('FM','691',null,7,7,null),
  ('FO','298',null,6,6,null), ('FR','33','0',9,9,null), ('GA','241',null,7,8,null), ('GB','44','0',9,10,null),
  ('GD','1','1',10,10,'011'), ('GE','995','0',9,9,null), ('GF','594','0',9,9,null), ('GG','44','0',10,10,null),
  ('GH','233','0',9,9,null), ('GI','350',null,8,8,null), ('GL','299',null,6,6,null), ('GM','220',null,7,9,null),
  ('GN','224',null,8,9,null), ('GP','590','0',9,9,null), ('GQ','240',null,9,9,null), ('GR','30',null,10,10,null),
  ('GT','502',null,8,8,null), ('GU','1','1',10,10,'011'), ('GW','245',null,9,9,null), ('GY','592',null,7,7,null),
  ('HK','852',null,8,8,null), ('HN','504',null,8,8,null), ('HR','385','0',8,9,null), ('HT','509',null,8,8,null),
  ('HU','36','06',8,9,null), ('ID','62','0',7,12,null), ('IE','353','0',7,10,null), ('IL','972','0',8,12,null),
  ('IM','44','0',10,10,null), ('IN','91','0',10,10,null), ('IO','246',null,7,7,null), ('IQ','964','0',8,10,null),
  ('IR','98','0',6,10,null), ('IS','354',null,7,9,null), ('IT','39',null,6,11,null), ('JE','44','0',10,10,null),
  ('JM','1','1',10,10,'011'), ('JO','962','0',8,9,null), ('JP','81','0',9,10,'010'), ('KE','254','0',7,9,null),
  ('KG','996','0',9,9,null), ('KH','855','0',8,9,null), ('KI','686','0',5,8,null), ('KM','269',null,7,7,null),
  ('KN','1','1',10,10,'011'), ('KP','850','0',8,10,null), ('KR','82','0',5,10,null), ('KW','965',null,8,8,null),
  ('KY','1','1',10,10,'011'), ('KZ','7','8',10,10,'810'), ('LA','856','0',8,10,null), ('LB','961','0',7,8,null),
  ('LC','1','1',10,10,'011'), ('LI','423','0',7,9,null), ('LK','94','0',9,9,null), ('LR','231','0',7,9,null),
  ('LS','266',null,8,8,null), ('LT','370','[08]',8,8,null), ('LU','352',null,4,11,null), ('LV','371',null,8,8,null),
  ('LY','218','0',9,9,null), ('MA','212','0',9,9,null), ('MC','377','0',8,9,null), ('MD','373','0',8,8,null),
  ('ME','382','0',8,8,null), ('MF','590','0',9,9,null), ('MG','261','0',9,9,null), ('MH','692','1',7,7,'011'),
  ('MK','389','0',8,8,null), ('ML','223',null,8,8,null), ('MM','95','0',6,10,null), ('MN','976','0',8,10,null),
  ('MO','853',null,8,8,null), ('MP','1','1',10,10,'011'), ('MQ','596','0',9,9,null), ('MR','222',null,8,8,null),
  ('MS','1','1',10,10,'011'), ('MT','356',null,8,8,null), ('MU','230',null,7,8,null), ('MV','960',null,7,7,null),
  ('MW','265','0',7,9,null), ('MX','52',null,10,10,null), ('MY','60','0',8,10,null), ('MZ','258',null,8,9,null),
  ('NA','264','0',8,9,null), ('NC','687',null,6,6,null), ('NE','227',null,8,8,null), ('NF','672',null,6,6,null),
  ('NG','234','0',10,10,null), ('NI','505',null,8,8,null), ('NL','31','0',9,11,null), ('NO','47',null,8,8,null),
  ('NP','977','0',8,10,null), ('NR','674',null,7,7,null), ('NU','683',null,4,7,null), ('NZ','64','0',8,10,null),
  ('OM','968',null,8,8,null), ('PA','507',null,7,8,null), ('PE','51','0',8,9,null), ('PF','689',null,8,8,null),
  ('PG','675',null,7,8,null), ('PH','63','0',6,10,null), ('PK','92','0',9,10,null), ('PL','48',null,7,9,null),
  ('PM','508','0',6,9,null), ('PR','1','1',10,10,'011'), ('PS','970','0',8,9,null), ('PT','351',null,9,9,null),
  ('PW','680',null,7,7,null), ('PY','595','0',7,9,null), ('QA','974',null,8,8,null), ('RE','262','0',9,9,null),
  ('RO','40','0',6,9,null), ('RS','381','0',7,12,null), ('RU','7','8',10,10,'810'), ('RW','250','0',8,9,null),
  ('SA','966','0',9,9,null), ('SB','677',null,5,7,null), ('SC','248',null,7,7,null), ('SD','249','0',9,9,null),
  ('SE','46','0',7,9,null), ('SG','65',null,8,8,null), ('SH','290',null,4,5,null), ('SI','386','0',8,8,null),
  ('SJ','47',null,8,8,null), ('SK','421','0',6,9,null), ('SL','232','0',8,8,null), ('SM','378',null,8,10,null),
  ('SN','221',null,9,9,null), ('SO','252','0',6,9,null), ('SR','597',null,6,7,null), ('SS','211','0',9,9,null),
  ('ST','239',null,7,7,null), ('SV','503',null,8,8,null), ('SX','1','1',10,10,'011'), ('SY','963','0',8,9,null),
  ('SZ','268',null,8,8,null), ('TA','290',null,4,4,null), ('TC','1','1',10,10,'011'), ('TD','235',null,8,8,null),
  ('TG','228',null,8,8,null), ('TH','66','0',8,9,null), ('TJ','992',null,9,9,'810'), ('TK','690',null,4,7,null),
  ('TL','670',null,7,8,null), ('TM','993','8',8,8,'810'), ('TN','216',null,8,8,null), ('TO','676',null,5,7,null),
  ('TR','90','0',10,10,null), ('TT','1','1',10,10,'011'), ('TV','688',null,5,7,null), ('TW','886','0',8,9,null),
  ('TZ','255','0',9,9,null), ('UA','380','0',9,9,null), ('UG','256','0',9,9,null), ('US','1','1',10,10,'011'),
  ('UY','598','0',8,8,null), ('UZ','998',null,9,9,null), ('VA','39',null,6,11,null), ('VC','1','1',10,10,'011'),
  ('VE','58','0',10,10,null), ('VG','1','1',10,10,'011'), ('VI','1','1',10,10,'011'), ('VN','84','0',9,10,null),
  ('VU','678',null,5,7,null), ('WF','681',null,6,6,null), ('WS','685',null,5,10,null), ('XK','383','0',8,12,null),
  ('YE','967','0',7,9,null), ('YT','262','0',9,9,null), ('ZA','27','0',5,9,null), ('ZM','260','0',9,9,null),
  ('ZW','263','0',9,9,null);

create function crm.phone_from_code(p_digits text) returns text
language sql stable set search_path = '' as $$
  select '+' || n.calling_code || n.national
  from (
    select p.calling_code, p.min_length, p.max_length,
      -- `+44 (0)20 ...`: the trunk prefix does not belong behind the code. A 0 is always one where the plan has it; of other prefixes
      -- (8 in Russia: 800 ... is a number) only a number that is too long shows it.
      case when r.rest ~ '^0' or length(r.rest) > p.max_length then regexp_replace(r.rest, '^(?:' || p.trunk_prefix || ')', '') else r.rest end as trimmed,
      r.rest
    from crm.phone_plans p, lateral (select substr(p_digits, length(p.calling_code) + 1) as rest) r
    where p.calling_code in (left(p_digits, 1), left(p_digits, 2), left(p_digits, 3))
  ) c, lateral (select c.calling_code, coalesce(c.trimmed, c.rest) as national) n
  where length(n.national) between c.min_length and c.max_length and length(n.calling_code || n.national) between 7 and 15
  limit 1
$$;
comment on function crm.phone_from_code(text) is 'Digits that begin with a calling code, as E.164; null where no plan has that code and length. Calling codes are prefix-free, so there is one answer.';

create function crm.normalize_phone(p_text text, p_country text) returns text
language plpgsql stable set search_path = '' as $$
declare
  -- Digits of other scripts become ASCII; white space, brackets, dots, dashes and the invisible marks that copying leaves go.
  v_text text := regexp_replace(
    translate(p_text, '٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹０１２３４５６７８９＋', '012345678901234567890123456789+'),
    E'[[:space:]().\\-/\u00a0\u00ad\u2000-\u2015\u2028-\u202f\u2060\u2066-\u2069\u2212\ufeff]', '', 'g');
  v_plan crm.phone_plans;
  v_national text;
  v_phone text;
begin
  if v_text !~ '^\+?[0-9]{5,20}$' then
    return null;
  end if;
  if v_text ~ '^(\+|00)' then
    return crm.phone_from_code(regexp_replace(v_text, '^(\+|00)', ''));
  end if;
  select * into v_plan from crm.phone_plans where country = p_country;
  if found then
    if starts_with(v_text, v_plan.international_prefix) then
      v_phone := crm.phone_from_code(substr(v_text, length(v_plan.international_prefix) + 1));
    end if;
    v_national := regexp_replace(v_text, '^(?:' || v_plan.trunk_prefix || ')', '');
    if v_phone is null and v_national <> v_text and length(v_national) between v_plan.min_length and v_plan.max_length then
      v_phone := '+' || v_plan.calling_code || v_national;
    end if;
    -- Where a trunk prefix is usual, a number without it that begins with the own calling code is an international one without its `+`.
    if v_phone is null and v_plan.trunk_prefix is not null and starts_with(v_text, v_plan.calling_code) then
      v_phone := crm.phone_from_code(v_text);
    end if;
    if v_phone is null and length(v_text) between v_plan.min_length and v_plan.max_length then
      v_phone := '+' || v_plan.calling_code || v_text;
    end if;
  end if;
  -- It fits nothing of the own country: an international number without its `+`, such as 998 90 123 45 67 typed in Kazakhstan.
  if v_phone is null and (length(v_text) >= 11 or starts_with(v_text, v_plan.calling_code)) then
    v_phone := crm.phone_from_code(v_text);
  end if;
  return case when length(v_phone) between 8 and 16 then v_phone end;
end
$$;
comment on function crm.normalize_phone(text, text) is
  'A phone number as people type it, in E.164; numbers without + belong to the country given (ISO code). Null where it cannot be one: letters, extensions, impossible lengths.';
