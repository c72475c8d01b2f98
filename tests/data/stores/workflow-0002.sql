BEGIN TRANSACTION;
CREATE TABLE agents (
	run_id VARCHAR NOT NULL, 
	agent_id VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (run_id, agent_id), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "agents" VALUES('run-a','agent-1','{"agent_id":"agent-1","agent_type":"","model":"","provider":"","first_seen_at":0.0,"last_seen_at":0.0,"mode":""}');
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE baselines (
	run_id VARCHAR NOT NULL, 
	agent_id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	saved_at DOUBLE NOT NULL, 
	blob BLOB NOT NULL, 
	PRIMARY KEY (run_id, agent_id, kind), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "baselines" VALUES('run-a','agent-1','run',1700000000.0,X'6200');
CREATE TABLE fences (
	run_id VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	agent_id VARCHAR NOT NULL, 
	ordered_at DOUBLE NOT NULL, 
	lifted_at DOUBLE, 
	body TEXT NOT NULL, 
	PRIMARY KEY (run_id, id), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "fences" VALUES('run-a','f-1','agent-1',1700000000.0,NULL,'{"id":"f-1","agent_id":"agent-1","incident_id":"inc-1","reason":"sick","by":"system","ordered_at":1700000000.0,"enforced_at":null,"lifted_at":null,"exempt":false}');
CREATE TABLE healings (
	run_id VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	incident_id VARCHAR NOT NULL, 
	agent_id VARCHAR NOT NULL, 
	ordered_at DOUBLE NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (run_id, "key"), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "healings" VALUES('run-a','inc-1/1','inc-1','agent-1',1700000000.0,'{"key":"inc-1/1","incident_id":"inc-1","agent_id":"agent-1","agent_type":"researcher","cause":"prompt_drift","pattern":"latency_ms","action":"reset_memory","trigger":"auto","ordered_at":1700000000.0,"applied_at":null,"ended_at":null,"outcome":"relapsed","fresh_steps":0,"changes":[],"note":""}');
CREATE TABLE incident_events (
	run_id VARCHAR NOT NULL, 
	seq BIGINT NOT NULL, 
	incident_id VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	at DOUBLE NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (run_id, seq), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "incident_events" VALUES('run-a',1,'inc-1',1,'probation',1700000000.0,'{"type":"opened","at":1700000000.0,"who":"system","why":"","finding":null,"diagnosis":null}');
CREATE TABLE incidents (
	run_id VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	subject_kind VARCHAR NOT NULL, 
	subject_name VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	is_open BOOLEAN NOT NULL, 
	version INTEGER NOT NULL, 
	opened_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (run_id, id), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "incidents" VALUES('run-a','inc-1',1,'agent','agent-1','probation',1,1,1700000000.0,1700000000.0,'{"id":"inc-1","run_id":"run-a","subject":{"kind":"agent","name":"agent-1"},"agent_type":"researcher","state":"probation","version":1,"opened_at":1700000000.0,"updated_at":1700000000.0,"onset_at":1699999990.0,"finding":{"agent_id":"agent-1","kind":"run","tier":"quarantine","source":"evidence","at":1700000000.0,"onset_at":1699999990.0,"evidence":20.5,"threshold":18.1,"severity":7.25,"effects":[{"metric":"latency_ms","ratio":4.0,"normal":800.0,"now":3200.0,"increase":0.0,"evidence":12.0,"affected":true}],"facts":{"prompt_hash_changed":true,"model_changed":false,"new_tools":["search"],"failing_tool":"bank","repeated_tool":null,"repeats":0,"silent_s":0.0,"limit":null,"error_types":[]},"can_fence":true,"why_not":""},"severity":7.25,"confirmed":true,"by_person":false,"braked":false,"diagnosis":{"ranked":[{"cause":"prompt_drift","confidence":0.8},{"cause":"unknown","confidence":0.2}],"reasons":["the prompt''s hash changed “just” before – é"],"pattern":"latency_ms"},"ladder":[{"action":"reset_memory","asks":false,"skipped":"","expected":"forgets"},{"action":"clone_agent","asks":true,"skipped":"","expected":""}],"next_rung":0,"covered":["reset_memory"],"asks":"","approval_deadline_at":null,"overdue":0,"attempts":0,"trigger":"auto","current":"reset_memory","probation":{"key":"inc-1/1","action":"reset_memory","since":1700000000.0,"stale":false},"baseline":{"agent_id":"agent-1","kind":"run","samples":450.0,"ready":true,"can_fence":true,"metrics":[{"metric":"latency_ms","samples":450.0,"centre":6.7,"spread":0.3,"median":800.0,"low":400.0,"high":1600.0,"rate":0.0,"mean":0.0,"dispersion":1.0}]},"verdict":"","absorbed_by":"","acknowledged_by":"","members":["agent-2"],"fleet":null,"summary":"","closed_at":null}');
CREATE TABLE order_keys (
	run_id VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	"order" VARCHAR NOT NULL, 
	at DOUBLE NOT NULL, 
	answer BLOB, 
	PRIMARY KEY (run_id, "key"), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "order_keys" VALUES('run-a','k','o',1700000000.0,X'7B227374617465223A2261736B227D');
CREATE TABLE outbox (
	run_id VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	number BIGINT NOT NULL, 
	due_at DOUBLE NOT NULL, 
	attempts INTEGER NOT NULL, 
	done_at DOUBLE, 
	body TEXT NOT NULL, 
	PRIMARY KEY (run_id, "key"), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "outbox" VALUES('run-a','k1',2,1700000000.0,0,NULL,'{"type":"push_fence","key":"k1","agent_id":"agent-1"}');
CREATE TABLE runs (
	run_id VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	started_at DOUBLE NOT NULL, 
	PRIMARY KEY (run_id), 
	UNIQUE (number)
);
INSERT INTO "runs" VALUES('run-a',1,1700000000.0);
CREATE TABLE settings (
	run_id VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, "key"), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "settings" VALUES('run-a','mode','ask');
CREATE TABLE treatments (
	run_id VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	agent_id VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	since DOUBLE NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (run_id, id), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "treatments" VALUES('run-a','t-1','agent-1','in_force',1700000000.0,'{"id":"t-1","agent_id":"agent-1","incident_id":"inc-1","action":"revoke_tools","changes":[{"what":"tools","before":"search,bank","after":"search"}],"since":1700000000.0,"lift_at":1700003600.0,"state":"in_force","lifted_at":null}');
CREATE UNIQUE INDEX incidents_one_open ON incidents (run_id, subject_kind, subject_name) WHERE is_open IS true;
CREATE INDEX incidents_newest ON incidents (run_id, opened_at, number);
CREATE INDEX incidents_subject ON incidents (run_id, subject_name);
CREATE INDEX incident_events_of ON incident_events (run_id, incident_id, seq);
CREATE INDEX outbox_waiting ON outbox (run_id, due_at, number) WHERE done_at IS NULL;
CREATE INDEX fences_standing ON fences (run_id, ordered_at) WHERE lifted_at IS NULL;
CREATE INDEX treatments_state ON treatments (run_id, state);
CREATE INDEX healings_newest ON healings (run_id, ordered_at);
CREATE INDEX healings_agent ON healings (run_id, agent_id, ordered_at);
CREATE INDEX healings_incident ON healings (run_id, incident_id);
CREATE INDEX order_keys_oldest ON order_keys (run_id, at);
COMMIT;
