CREATE TABLE programs (id TEXT PRIMARY KEY, generation INTEGER NOT NULL, timestamp REAL NOT NULL, combined_score REAL, public_metrics TEXT, correct BOOLEAN DEFAULT 0, metadata TEXT);
INSERT INTO programs VALUES('s0000000', 0, 1700000000.0, 1.0, '{"radius": 0.1}', 1, '{"patch_name": "initial"}');
INSERT INTO programs VALUES('s0000001', 1, 1700000001.0, 1.5, '{"radius": 0.15}', 1, '{"patch_name": "hex packing"}');
INSERT INTO programs VALUES('s0000002', 2, 1700000002.0, 9.0, '{"radius": 0.9}', 0, '{"patch_name": "overlap"}');
INSERT INTO programs VALUES('s0000003', 3, 1700000003.0, 1.2, '{"radius": 0.12}', 1, '{"patch_name": "greedy"}');
INSERT INTO programs VALUES('s0000004', 4, 1700000004.0, 2.0, '{"radius": 0.2}', 1, '{"patch_name": "polish"}');
