-- Puts the notes back to where every trial begins: 1 to 1000, and the next one made is 1001.
BEGIN;
TRUNCATE notes RESTART IDENTITY;
INSERT INTO notes (title, description)
SELECT 'note ' || n, 'description of note ' || n FROM generate_series(1, 1000) AS n;
COMMIT;
ANALYZE notes;
