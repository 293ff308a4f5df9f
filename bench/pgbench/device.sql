-- The first sight of a machine as src/store/licence.c has it, each statement a transaction: --define=docs=N, app=ID.
\set i random(100000000001, 100000000000 + :docs)
\set m random(1, 9000000000000000)
SELECT * FROM license_look(:app, sha256(convert_to('BENCH-ROOM-' || CAST(:i AS text), 'UTF8')),
       'bench-machine-' || CAST(:m AS text), '1.4.0');
SELECT * FROM license_seat(:app, sha256(convert_to('BENCH-ROOM-' || CAST(:i AS text), 'UTF8')),
       'bench-machine-' || CAST(:m AS text), '1.4.0', gen_random_uuid(), NULL, NULL, '127.0.0.1');
