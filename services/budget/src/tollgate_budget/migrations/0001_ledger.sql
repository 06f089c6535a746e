-- The ledger. Sums stand per account and calendar month; transfers are the history they come from.
-- The constraints repeat what ledger.py asserts, so that a wrong program fails instead of overspending.

CREATE TABLE account (
  account_id text PRIMARY KEY CHECK (account_id ~ '^(key|group|tenant):[A-Za-z0-9_.-]{1,64}$'),
  limit_nano_usd bigint NOT NULL CHECK (limit_nano_usd >= 0)
);

CREATE TABLE account_window (
  account_id text NOT NULL REFERENCES account,
  month integer NOT NULL CHECK (month BETWEEN 200001 AND 999912 AND month % 100 BETWEEN 1 AND 12),
  limit_nano_usd bigint NOT NULL CHECK (limit_nano_usd >= 0),
  -- The limit, unless the account is frozen: then the sum that stood when it froze.
  ceiling_nano_usd bigint NOT NULL,
  posted_nano_usd bigint NOT NULL DEFAULT 0 CHECK (posted_nano_usd >= 0),
  pending_nano_usd bigint NOT NULL DEFAULT 0 CHECK (pending_nano_usd >= 0),
  quarantined_nano_usd bigint NOT NULL DEFAULT 0,
  overrun_nano_usd bigint NOT NULL DEFAULT 0,
  frozen boolean NOT NULL DEFAULT false,
  PRIMARY KEY (account_id, month),
  CONSTRAINT hard_cap CHECK (posted_nano_usd + pending_nano_usd <= ceiling_nano_usd),
  CONSTRAINT ceiling_is_limit CHECK (
    ceiling_nano_usd = limit_nano_usd OR (frozen AND ceiling_nano_usd > limit_nano_usd)
  ),
  CONSTRAINT quarantined_is_pending CHECK (quarantined_nano_usd BETWEEN 0 AND pending_nano_usd),
  CONSTRAINT overrun_is_posted CHECK (overrun_nano_usd BETWEEN 0 AND posted_nano_usd)
) WITH (fillfactor = 50); -- these rows are updated in place, many times a second

-- states: 1 pending, 2 posted, 3 voided, 4 quarantined (TransferState of budget.proto)
CREATE TABLE transfer (
  id uuid PRIMARY KEY,
  tenant_id text NOT NULL,
  trace_id text NOT NULL,
  model text NOT NULL,
  account_ids text[] NOT NULL CHECK (cardinality(account_ids) BETWEEN 1 AND 8),
  month integer NOT NULL,
  reserved_nano_usd bigint NOT NULL CHECK (reserved_nano_usd >= 0),
  create_unix_ms bigint NOT NULL,
  expire_unix_ms bigint NOT NULL CHECK (expire_unix_ms > create_unix_ms),
  state smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
  posted_nano_usd bigint NOT NULL DEFAULT 0,
  late boolean NOT NULL DEFAULT false,
  end_unix_ms bigint NOT NULL DEFAULT 0,
  CONSTRAINT only_posted_has_cost CHECK (
    CASE WHEN state = 2 THEN posted_nano_usd > 0 ELSE posted_nano_usd = 0 END
  ),
  CONSTRAINT only_ended_has_end CHECK ((end_unix_ms > 0) = (state IN (2, 3))),
  CONSTRAINT quarantined_is_late CHECK (state <> 4 OR late)
);

-- What is open: for the sweep, and for the check of the pending sums.
CREATE INDEX transfer_open ON transfer (state, expire_unix_ms) WHERE state IN (1, 4);
CREATE INDEX transfer_of_account ON transfer USING gin (account_ids);

-- History does not change: only pending and quarantined transfers move, forward, and nothing of
-- what was reserved is ever rewritten. The conditions are evaluated without entering a function.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'history does not change: % of % refused', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER transfer_moves_forward BEFORE UPDATE ON transfer FOR EACH ROW
  WHEN (
    NOT ((OLD.state = 1 AND NEW.state IN (2, 3, 4)) OR (OLD.state = 4 AND NEW.state IN (2, 3)))
    OR (OLD.late AND NOT NEW.late)
    OR OLD.id <> NEW.id
    OR OLD.tenant_id <> NEW.tenant_id
    OR OLD.trace_id <> NEW.trace_id
    OR OLD.model <> NEW.model
    OR OLD.account_ids <> NEW.account_ids
    OR OLD.month <> NEW.month
    OR OLD.reserved_nano_usd <> NEW.reserved_nano_usd
    OR OLD.create_unix_ms <> NEW.create_unix_ms
    OR OLD.expire_unix_ms <> NEW.expire_unix_ms
  )
  EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfer_stays BEFORE DELETE ON transfer FOR EACH ROW
  EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfer_is_not_truncated BEFORE TRUNCATE ON transfer FOR EACH STATEMENT
  EXECUTE FUNCTION refuse_change();
CREATE TRIGGER account_window_stays BEFORE DELETE ON account_window FOR EACH ROW
  EXECUTE FUNCTION refuse_change();
CREATE TRIGGER account_window_is_not_truncated BEFORE TRUNCATE ON account_window FOR EACH STATEMENT
  EXECUTE FUNCTION refuse_change();

-- Operators' changes by request id: a repeat gets the first answer.
CREATE TABLE admin_request (
  request_id text PRIMARY KEY,
  content text NOT NULL,
  answer text NOT NULL,
  create_unix_ms bigint NOT NULL
);
CREATE TRIGGER admin_request_stays BEFORE UPDATE OR DELETE ON admin_request FOR EACH ROW
  EXECUTE FUNCTION refuse_change();

REVOKE DELETE, TRUNCATE ON account, account_window, transfer, admin_request FROM CURRENT_USER;
REVOKE UPDATE ON admin_request FROM CURRENT_USER;
