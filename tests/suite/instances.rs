//! Several instances a Caf: who gets what, who is left alone, what is sent twice, and what an operator may order.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::backend::{Backend, Then, answer, answer_with, respond};
use crate::harness::client::{Client, connect};
use crate::harness::gateway::Settings;
use crate::harness::world::{Kind, SIRET, World, account};
use crate::harness::{closed_address, eventually};
use crate::on_each_store;

const SOUTH: &str = "sud@esat.example";

/// A world with a Caf 131 that has several instances.
struct South {
    world: World,
    instances: Vec<Backend>,
}

impl South {
    fn new(count: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let instances: Vec<_> = (0..count).map(|number| Backend::start(&format!("131-{number}"))).collect();
        for (number, instance) in instances.iter().enumerate() {
            instance.script(answer(&number.to_string()));
        }
        let addresses: Vec<_> = instances.iter().map(|instance| instance.address).collect();
        let world = World::with(Kind::Embedded, |settings| {
            settings.caf("131", "Caf des Bouches-du-Rhône", &addresses);
            change(settings);
        });
        world.gateway.accounts(&[account(SOUTH, SIRET, &["131"])]);
        world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
        Self { world, instances }
    }

    fn client(&self) -> Client {
        self.world.signed_in(SOUTH)
    }

    fn counts(&self) -> Vec<usize> {
        self.instances.iter().map(Backend::count).collect()
    }

    /// What `octroi caf status 131` knows of an instance.
    fn instance(&self, number: usize) -> Value {
        let status = self.world.gateway.admin().get("/v1/cafs/131").send().json();
        status["instances"][number].clone()
    }

    fn state(&self, number: usize) -> String {
        self.instance(number)["state"].as_str().unwrap().to_owned()
    }
}

fn fails() -> crate::harness::backend::Script {
    Arc::new(|_, _| Then::Close)
}

#[test]
fn instances_share_by_their_weights_and_no_other_caf_is_asked() {
    let south = South::new(2, |settings| {
        settings.caf_line("weights = [1, 3]");
    });
    let mut client = south.client();
    for _ in 0..200 {
        assert_eq!(client.get("/").program().send().status, 200);
    }
    let counts = south.counts();
    assert!(counts[0] + counts[1] == 200 && counts[0] >= 20 && counts[1] > counts[0] + 40, "{counts:?}");
    for instance in &south.instances {
        instance.script(fails());
    }
    for _ in 0..20 {
        let refused = client.post("/formulaire").json(&json!({"a": 1})).send();
        assert_eq!(refused.problem(), (502, "caf-indisponible".to_owned()));
        assert_eq!(refused.json()["caf"]["code"], "131");
    }
    assert_eq!(south.world.caf921.count() + south.world.caf751.count(), 0, "another Caf's backend was asked");
}

#[test]
fn a_busy_instance_is_spared() {
    let south = South::new(2, |_| ());
    let (busy, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    south.instances[0].script(Arc::new(move |_, stream| {
        let _ = held.lock().unwrap().recv();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        Then::Keep
    }));
    std::thread::scope(|scope| {
        // One of the first ones is held at the first instance.
        let person = south.client();
        let first = || {
            let mut client = south.world.gateway.known(&person);
            scope.spawn(move || client.get("/").program().send().status)
        };
        let mut waiting = Vec::new();
        while south.instances[0].count() == 0 {
            let asked: usize = south.counts().iter().sum();
            waiting.push(first());
            eventually("it is asked", || south.counts().iter().sum::<usize>() > asked);
        }
        let before = south.instances[1].count();
        let mut client = south.client();
        for _ in 0..30 {
            assert_eq!(client.get("/").program().send().text(), "1");
        }
        assert!(south.instances[1].count() >= before + 30);
        drop(busy);
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), 200);
        }
    });
}

#[test]
fn an_instance_that_fails_is_left_alone_and_comes_back() {
    let south = South::new(2, |settings| {
        // Long enough for all that is asked meanwhile.
        settings.set("backend", "eject_after", "3").set("backend", "eject_time", r#""4s""#);
        settings.set("backend", "slow_start", r#""0s""#);
    });
    south.instances[0].script(fails());
    let mut client = south.client();
    eventually("it is left alone", || {
        client.post("/formulaire").json(&json!({})).send();
        south.state(0) == "ejected"
    });
    let told = south.instance(0);
    assert!(told["ejected_until"].is_string() && told["last_error"]["what"].is_string(), "{told}");
    let left_alone = south.instances[0].count();
    for _ in 0..20 {
        assert_eq!(client.post("/formulaire").json(&json!({})).send().text(), "1");
    }
    assert_eq!((south.instances[0].count(), south.state(1).as_str()), (left_alone, "up"));
    south.instances[0].script(answer("0"));
    eventually("it is back", || client.get("/").program().send().text() == "0");
    let metrics = south.world.gateway.admin().get("/metrics").send().text();
    assert!(metrics.contains(r#"octroi_backend_ejections_total{caf="131",instance="1"} 1"#), "{metrics}");
}

#[test]
fn an_instance_whose_answers_break_off_or_stop_is_left_alone_too() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nle début";
    let breaks_off: crate::harness::backend::Script = Arc::new(|_, stream| {
        let _ = stream.write_all(head.as_bytes());
        Then::Close
    });
    for (bad, what) in [
        (breaks_off, "its answer broke off"),
        (respond(head), "stopped in the middle of its answer"),
        (answer_with("X-Caf-Code: 921\r\n", "d'une autre"), "names another Caf"),
    ] {
        let south = South::new(2, |settings| {
            settings.set("backend", "eject_after", "3").set("backend", "eject_time", r#""60s""#);
            settings.set("backend", "idle_timeout", r#""200ms""#);
        });
        south.instances[0].script(bad);
        let client = south.client();
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", client.cookies());
        eventually("it is left alone", || {
            let mut stream = connect(client.address);
            stream.write_all(bytes.as_bytes()).unwrap();
            let mut answer = [0; 4_096];
            // To its end where it breaks off; the others are kept alive.
            while let Ok(1..) = stream.read(&mut answer)
                && String::from_utf8_lossy(&answer).contains("le début")
            {}
            south.state(0) == "ejected"
        });
        let told = south.instance(0)["last_error"]["what"].as_str().unwrap().to_owned();
        assert!(told.contains(what), "{told}");
    }
}

#[test]
fn an_instance_that_resets_at_once_is_left_alone_whatever_it_is_asked() {
    let resets = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = resets.local_addr().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let resetting = std::thread::spawn(move || {
        for stream in resets.incoming() {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            socket2::SockRef::from(&stream.unwrap()).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    for is_form in [true, false] {
        let well = Backend::start("131-1");
        well.script(answer("1"));
        let world = World::with(Kind::Embedded, |settings| {
            let urls = [format!("http://{address}"), format!("http://{}", well.address)];
            settings.caf_urls("131", "Caf des Bouches-du-Rhône", &urls);
            settings.set("backend", "eject_after", "3").set("backend", "eject_time", r#""60s""#);
        });
        world.gateway.accounts(&[account(SOUTH, SIRET, &["131"])]);
        world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
        let mut client = world.signed_in(SOUTH);
        eventually("it is left alone", || {
            let request =
                if is_form { client.post("/f").json(&json!({})) } else { client.get("/").program() };
            request.send();
            let status = world.gateway.admin().get("/v1/cafs/131").send().json();
            status["instances"][0]["state"] == "ejected"
        });
    }
    over.store(true, Ordering::Relaxed);
    drop(connect(address));
    resetting.join().unwrap();
}

#[test]
fn the_last_instance_standing_is_never_left_alone() {
    let south = South::new(2, |settings| {
        settings.set("backend", "eject_after", "1").set("backend", "eject_time", r#""60s""#);
    });
    for instance in &south.instances {
        instance.script(fails());
    }
    let mut client = south.client();
    for _ in 0..10 {
        assert_eq!(client.post("/formulaire").json(&json!({})).send().status, 502);
    }
    let states = [south.state(0), south.state(1)];
    assert!(states.contains(&"up".to_owned()) && states.contains(&"ejected".to_owned()), "{states:?}");
    let last = usize::from(states[1] == "up");
    south.instances[last].script(answer("encore là"));
    assert_eq!(client.get("/").program().send().text(), "encore là");
}

#[test]
fn what_may_be_repeated_is_asked_of_a_second_instance_and_a_form_never_is() {
    let south = South::new(2, |settings| {
        settings.set("backend", "eject_after", "1000");
    });
    south.instances[0].script(fails());
    let mut client = south.client();
    // Which one is asked first is drawn.
    eventually("the first instance is asked", || {
        assert_eq!(client.get("/page").program().send().text(), "1");
        south.instances[0].count() > 0
    });
    for _ in 0..12 {
        assert_eq!(client.get("/page").program().send().text(), "1");
    }
    let before: usize = south.counts().iter().sum();
    let mut lost = 0;
    for _ in 0..30 {
        lost += usize::from(client.post("/formulaire").json(&json!({"a": 1})).send().status == 502);
    }
    let forms: usize = south.counts().iter().sum::<usize>() - before;
    assert_eq!(forms, 30, "a form was sent twice");
    assert!(lost > 0);
}

#[test]
fn what_is_sent_again_has_a_budget() {
    let south = South::new(3, |settings| {
        settings.set("backend", "eject_after", "1000").set("backend", "retry_budget", "20");
    });
    for instance in &south.instances {
        instance.script(fails());
    }
    let mut client = south.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").program().send().status, 502);
    }
    let sent: usize = south.counts().iter().sum();
    // Ten are granted at the start, and one for each five requests.
    assert!((110..=131).contains(&sent), "{sent}");
    let retries = south.world.gateway.admin().get("/v1/cafs/131").send().json()["retries"].as_u64().unwrap();
    assert_eq!(retries, sent as u64 - 100);
}

#[test]
fn an_instance_that_takes_no_connection_costs_no_form() {
    let (_closed, dead) = closed_address();
    let live = Backend::start("131");
    let world = World::with(Kind::Embedded, |settings| {
        settings.caf("131", "Caf des Bouches-du-Rhône", &[dead, live.address]);
    });
    world.gateway.accounts(&[account(SOUTH, SIRET, &["131"])]);
    world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    let mut client = world.signed_in(SOUTH);
    for _ in 0..20 {
        assert_eq!(client.post("/formulaire").json(&json!({"a": 1})).send().status, 200);
    }
    assert_eq!(live.count(), 20);
}

#[test]
fn a_full_instance_lets_wait_and_then_refuses_with_the_cafs_name() {
    let south = South::new(1, |settings| {
        settings.set("backend", "wait_timeout", r#""4s""#).set("backend", "max_waiting", "2");
        settings.caf_line("max_connections = 1");
    });
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    south.instances[0].script(Arc::new(move |_, stream| {
        let _ = held.lock().unwrap().recv();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        Then::Keep
    }));
    std::thread::scope(|scope| {
        let mut others: Vec<_> = (0..3).map(|_| south.client()).collect();
        let mut fourth = south.client();
        let mut ask = |mut client: Client| scope.spawn(move || client.get("/").program().send());
        let first = ask(others.pop().unwrap());
        eventually("the first is at the backend", || south.instance(0)["outstanding"] == 1);
        let waiting: Vec<_> = others.drain(..).map(&mut ask).collect();
        eventually("two wait", || south.instance(0)["waiting"] == 2);
        let began = Instant::now();
        let refused = fourth.get("/").program().send();
        assert_eq!(refused.problem(), (503, "caf-indisponible".to_owned()));
        assert!(refused.text().contains("Bouches-du-Rhône"));
        assert!(began.elapsed() < Duration::from_millis(300), "no place to wait is told at once");
        // Nobody leaves: those who wait are told in time.
        for thread in waiting {
            let late = thread.join().unwrap();
            assert_eq!(late.problem(), (503, "caf-indisponible".to_owned()));
        }
        let next = ask(south.client());
        eventually("one more waits", || south.instance(0)["waiting"] == 1);
        release.send(()).unwrap();
        release.send(()).unwrap();
        assert_eq!((first.join().unwrap().text(), next.join().unwrap().text()), ("ok".into(), "ok".into()));
        drop(release);
    });
    assert_eq!(south.counts(), [2], "what was refused reached nobody");
    let mut neighbour = south.world.admitted();
    assert_eq!(neighbour.get("/").program().send().status, 200);
}

#[test]
fn checks_take_an_instance_out_and_bring_it_back() {
    let south = South::new(2, |settings| {
        settings.set("backend", "check_interval", r#""50ms""#).set("backend", "slow_start", r#""0s""#);
        settings.caf_line("check_path = \"/sante\"").caf_line("check_status = 204");
    });
    let healthy = |name: &'static str, well: bool| -> crate::harness::backend::Script {
        Arc::new(move |request, stream| {
            let text = match (request.line().contains("/sante"), well) {
                (true, true) => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                (true, false) => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(),
                (false, _) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()),
            };
            let _ = stream.write_all(text.as_bytes());
            Then::Keep
        })
    };
    south.instances[0].script(healthy("zero", true));
    south.instances[1].script(healthy("un", true));
    // Those that were checked before their script was there failed.
    eventually("both were checked and are well", || {
        south.counts().iter().all(|count| *count > 2)
            && [0, 1].iter().all(|place| south.state(*place) == "up")
    });
    south.instances[0].script(healthy("zero", false));
    eventually("it is out", || south.state(0) == "failing");
    let told = south.instance(0)["last_error"]["what"].as_str().unwrap().to_owned();
    assert!(told.contains("/sante answered 503, expected 204"), "{told}");
    let mut client = south.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").program().send().text(), "un");
    }
    south.instances[1].script(healthy("un", false));
    eventually("both are out", || south.state(1) == "failing");
    let refused = client.get("/").program().send();
    assert_eq!(refused.problem(), (503, "caf-indisponible".to_owned()));
    south.instances[0].script(healthy("zero", true));
    eventually("it is back", || south.state(0) == "up");
    assert_eq!(client.get("/").program().send().text(), "zero");
    let checks = south.instances[0].received();
    let check = checks.iter().find(|request| request.line() == "GET /sante HTTP/1.1").expect("a check");
    assert!(check.all("x-esat-compte").is_empty() && check.one("user-agent") == "octroi-check");
}

#[test]
fn a_browser_stays_where_the_backend_knows_it() {
    let south = South::new(3, |settings| {
        settings.caf_line("sticky_cookie = \"JSESSIONID\"");
    });
    for (number, instance) in south.instances.iter().enumerate() {
        instance.script(Arc::new(move |request, stream| {
            let cookie =
                if request.all("cookie").is_empty() { "Set-Cookie: JSESSIONID=abc; Path=/\r\n" } else { "" };
            let text = format!("HTTP/1.1 200 OK\r\n{cookie}Content-Length: 1\r\n\r\n{number}");
            let _ = stream.write_all(text.as_bytes());
            Then::Keep
        }));
    }
    let mut client = south.client();
    let home = client.get("/").program().send().text();
    for _ in 0..20 {
        assert_eq!(client.get("/").program().send().text(), home);
    }
    let number: usize = home.parse().unwrap();
    assert_eq!(
        south.instances[number].last().one("cookie"),
        "JSESSIONID=abc",
        "the mark stays at the gateway"
    );
    let url = format!("http://{}", south.instances[number].address);
    let (exit, _, said) = south.world.gateway.cli(&["caf", "drain", "131", "--instance", &url]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(client.get("/").program().send().text(), home, "its session ends where it began");
    let mut newcomer = south.client();
    assert_ne!(newcomer.get("/").program().send().text(), home);
    south.instances[number].script(fails());
    eventually("another takes over where it fails", || {
        let answer = client.get("/").program().send();
        answer.status == 200 && answer.text() != home
    });
}

#[test]
fn an_operator_drains_a_caf_and_undoes_it() {
    let south = South::new(2, |_| ());
    let gateway = &south.world.gateway;
    let mut client = south.client();
    let (exit, shown, said) = gateway.cli(&["caf", "drain", "131"]);
    assert_eq!((exit, said.as_str()), (0, ""));
    assert!(shown.contains("Caf 131 (Caf des Bouches-du-Rhône) is drained"), "{shown}");
    let refused = client.get("/").program().send();
    assert_eq!(refused.problem(), (503, "caf-indisponible".to_owned()));
    assert_eq!((refused.json()["caf"]["code"].as_str(), south.counts()), (Some("131"), vec![0, 0]));
    assert!(refused.text().contains("Rien n’a été transmis"), "{}", refused.text());
    assert_eq!(south.world.admitted().get("/").program().send().status, 200, "other Cafs do not notice");
    assert_eq!(gateway.cli(&["caf", "undrain", "131"]).0, 0);
    assert_eq!(client.get("/").program().send().status, 200);

    let url = format!("http://{}", south.instances[0].address);
    let before = south.instances[0].count();
    let drained = gateway.admin().post(&format!("/v1/cafs/131/drain?instance={url}")).send();
    assert_eq!((drained.status, drained.json()["instances"][0]["state"].clone()), (200, json!("draining")));
    for _ in 0..20 {
        assert_eq!(client.get("/").program().send().text(), "1");
    }
    assert_eq!(south.instances[0].count(), before);
    let back = gateway.admin().request("DELETE", &format!("/v1/cafs/131/drain?instance={url}")).send();
    assert_eq!((back.status, south.state(0).as_str()), (200, "up"));

    let (exit, shown, _) = gateway.cli(&["caf", "status"]);
    assert!(exit == 0 && shown.contains(&url) && shown.contains("921") && shown.contains("up"), "{shown}");
    let (exit, shown, _) = gateway.cli(&["caf", "status", "131", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (exit, shown["code"].as_str(), shown["instances"].as_array().unwrap().len()),
        (0, Some("131"), 2)
    );
    for (args, expected) in [
        (["caf", "drain", "999"].as_slice(), 1),
        (&["caf", "drain", "131", "--instance", "http://192.0.2.1"], 1),
        (&["caf", "drain", "13"], 2),
        (&["caf", "drain"], 2),
        (&["caf", "status", "999"], 1),
    ] {
        let (exit, _, said) = gateway.cli(args);
        assert!(exit == expected && !said.is_empty(), "{args:?}: {exit} {said}");
    }
    assert_eq!(gateway.admin().post("/v1/cafs/xyz/drain").send().status, 404);
    assert_eq!(gateway.admin().post("/v1/cafs/131/drain?instances=x").send().status, 400);
}

#[test]
fn those_who_wait_for_an_instance_that_is_drained_are_placed_anew() {
    let south = South::new(2, |settings| {
        settings.set("backend", "wait_timeout", r#""8s""#);
        settings.caf_line("max_connections = 1");
    });
    let gateway = &south.world.gateway;
    let releases: Vec<_> = south.instances.iter().map(held).collect();
    let person = south.client();
    std::thread::scope(|scope| {
        let ask = || {
            let mut client = gateway.known(&person);
            scope.spawn(move || client.get("/").program().send())
        };
        let waiting = || [0, 1].map(|number| south.instance(number)["waiting"].as_u64().unwrap());
        let first = [ask(), ask()];
        eventually("both are busy", || south.counts() == [1, 1]);
        let mut others = Vec::new();
        while waiting()[0] < 2 || waiting()[1] < 1 {
            let before = waiting();
            others.push(ask());
            eventually("it waits", || waiting() != before);
        }
        let url = format!("http://{}", south.instances[0].address);
        assert_eq!(gateway.cli(&["caf", "drain", "131", "--instance", &url]).0, 0);
        releases[0].send(()).unwrap();
        eventually("nobody waits there any more", || waiting()[0] == 0);
        for _ in 0..=others.len() {
            releases[1].send(()).unwrap();
        }
        for thread in first.into_iter().chain(others) {
            assert_eq!(thread.join().unwrap().status, 200);
        }
        assert_eq!(south.counts()[0], 1, "the drained instance was asked");

        // The whole Caf: nobody who waits reaches it.
        let before = south.counts()[1];
        let busy = ask();
        eventually("it is busy", || south.counts()[1] == before + 1);
        let late = ask();
        eventually("one waits", || waiting()[1] == 1);
        assert_eq!(gateway.cli(&["caf", "drain", "131"]).0, 0);
        releases[1].send(()).unwrap();
        assert_eq!(late.join().unwrap().problem(), (503, "caf-indisponible".to_owned()));
        assert_eq!((busy.join().unwrap().status, south.counts()[1]), (200, before + 1));
        drop(releases);
    });
}

/// Each request is held until it is let go.
fn held(instance: &Backend) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    instance.script(Arc::new(move |_, stream| {
        let _ = held.lock().unwrap().recv();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        Then::Keep
    }));
    release
}

/// An instance has a send timeout of its own, and breaks off what a client does not read: that says nothing of it.
#[test]
fn an_instance_that_does_not_wait_for_a_client_that_reads_nothing_is_not_left_alone() {
    let south = South::new(2, |settings| {
        settings.set("backend", "eject_after", "2").set("backend", "eject_time", r#""60s""#);
    });
    let ended = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for (instance, head) in
        south.instances.iter().zip(["Content-Length: 80000000", "Transfer-Encoding: chunked"])
    {
        let ended = Arc::clone(&ended);
        instance.script(Arc::new(move |_, stream| {
            let _ = stream.set_write_timeout(Some(Duration::from_millis(1_500)));
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes());
            let piece = [b"2000\r\n".as_slice(), &[b'x'; 0x2000], b"\r\n"].concat();
            while stream.write_all(&piece).is_ok() {}
            ended.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Then::Close
        }));
    }
    let mut client = south.client();
    let bytes = client.get("/").program().bytes();
    let stalled: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = connect(client.address);
            stream.write_all(&bytes).unwrap();
            stream
        })
        .collect();
    eventually("the instances give up", || ended.load(std::sync::atomic::Ordering::SeqCst) == stalled.len());
    for mut stream in stalled {
        // What is on its way, then the end.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
    eventually("all is over", || (0..2).all(|number| south.instance(number)["outstanding"] == 0));
    for number in 0..2 {
        let told = south.instance(number);
        assert!(told["state"] == "up" && told["failures"] == 0, "{told}");
        assert!(south.instances[number].count() > 0, "an instance was not asked");
    }
}

on_each_store! {
    fn an_order_outlives_its_gateway(kind: Kind) {
        let mut world = World::new(kind);
        assert_eq!(world.gateway.cli(&["caf", "drain", "921"]).0, 0);
        world.gateway.kill();
        world.restart();
        let mut client = world.admitted();
        assert_eq!(client.get("/").program().send().problem(), (503, "caf-indisponible".to_owned()));
        assert_eq!(world.gateway.cli(&["caf", "undrain", "921"]).0, 0);
        assert_eq!(client.get("/").program().send().status, 200);
    }
}

#[test]
fn replicas_keep_to_the_same_orders() {
    let world = World::new(Kind::Redis);
    let replica = world.replica();
    let mut there = replica.known(&world.admitted());
    assert_eq!(world.gateway.cli(&["caf", "drain", "921"]).0, 0);
    eventually("the replica follows", || there.get("/").program().send().status == 503);
    assert_eq!(replica.cli(&["caf", "undrain", "921"]).0, 0);
    assert_eq!(there.get("/").program().send().status, 200);
    let mut here = world.gateway.known(&there);
    eventually("the first one follows", || here.get("/").program().send().status == 200);
}

/// As a backend does whose patience with an unused connection ends as the next request comes.
#[test]
fn a_connection_that_is_closed_as_it_is_used_costs_a_safe_request_nothing() {
    let south = South::new(1, |settings| {
        settings.set("backend", "eject_after", "1").set("server", "workers", "1");
    });
    let served = std::sync::Mutex::new(std::collections::HashSet::new());
    south.instances[0].script(Arc::new(move |_, stream| {
        // The second request on each connection is read, and not answered.
        if !served.lock().unwrap().insert(stream.peer_addr().unwrap()) {
            return Then::Close;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbien");
        Then::Keep
    }));
    let mut client = south.client();
    let unused_for_a_while = || std::thread::sleep(Duration::from_millis(700));
    assert_eq!(client.get("/").program().send().status, 200);
    unused_for_a_while();
    let asked = south.instances[0].count();
    assert_eq!(client.get("/").program().send().text(), "bien");
    assert_eq!(south.instances[0].count(), asked + 2);
    unused_for_a_while();
    let asked = south.instances[0].count();
    assert_eq!(
        client.post("/f").program().body("text/plain", b"a").send().status,
        502,
        "it may have been read"
    );
    assert_eq!(south.instances[0].count(), asked + 1);
}

#[test]
fn an_exchange_that_drips_ends_in_time_and_events_do_not() {
    let south = South::new(1, |settings| {
        settings.caf_line("request_timeout = \"700ms\"");
    });
    let drip = |kind: &'static str, drops: u32| -> crate::harness::backend::Script {
        Arc::new(move |_, stream| {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            for _ in 0..drops {
                std::thread::sleep(Duration::from_millis(100));
                if stream.write_all(b"1\r\nx\r\n").is_err() {
                    return Then::Close;
                }
            }
            let _ = stream.write_all(b"0\r\n\r\n");
            Then::Keep
        })
    };
    south.instances[0].script(drip("text/plain", 100));
    let client = south.client();
    let ask = |client: &Client| {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nConnection: close\r\n\r\n",
            south.world.gateway.public,
            client.cookies()
        );
        let began = Instant::now();
        let whole = client.raw(request.as_bytes());
        (whole.is_some(), began.elapsed())
    };
    let (whole, time) = ask(&client);
    assert!(!whole && time < Duration::from_millis(1_400), "{whole} after {time:?}");
    south.instances[0].script(drip("text/event-stream", 15));
    assert!(ask(&client).0, "a stream of events was cut");
}

#[test]
fn an_answer_that_names_an_unwell_backend_counts_and_is_passed_on() {
    let south = South::new(2, |settings| {
        settings.set("backend", "eject_after", "2").set("backend", "eject_time", r#""60s""#);
    });
    south.instances[0].script(respond("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nlent"));
    south.instances[1].script(answer_with("", "bien"));
    let mut client = south.client();
    let mut seen = 0;
    eventually("it is left alone", || {
        let answer = client.get("/").program().send();
        seen += usize::from((answer.status, answer.text()) == (503, "lent".to_owned()));
        south.state(0) == "ejected"
    });
    assert_eq!(seen, 2, "the backend's own answer reaches the client");
}

#[test]
fn an_unwell_answer_that_breaks_off_counts_once() {
    let south = South::new(1, |_| ());
    south.instances[0].script(Arc::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nlent");
        Then::Close
    }));
    let mut client = south.client();
    let bytes = client.get("/").program().bytes();
    let mut stream = connect(client.address);
    stream.write_all(&bytes).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    eventually("it is over", || south.instance(0)["outstanding"] == 0);
    assert_eq!(south.instance(0)["failures"], 1);
}
