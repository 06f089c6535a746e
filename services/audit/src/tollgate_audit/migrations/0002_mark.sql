-- What an entry carries so that a change to it is found before it is signed or shown: an HMAC of
-- its index and leaf under a key that the database never sees. Null: sequenced before this.
alter table entry add column mac bytea check (length(mac) = 16);
