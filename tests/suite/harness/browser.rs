//! A real Chromium, through WebDriver.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, closed_address, eventually};

/// How often a page is looked at for what is waited for, and the time between two looks: some 30 s in all.
const LOOKS: u32 = 1_500;
const PAUSE: Duration = Duration::from_millis(20);

/// A browser with a profile of its own.
pub struct Browser {
    pub window: Client,
    driver: Child,
    _place: socket2::Socket,
    _profile: TempDir,
}

impl Browser {
    pub async fn start(javascript: bool) -> Self {
        let (place, address) = closed_address();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={}", address.port()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (tests/run sees to it)");
        eventually("chromedriver answers", || std::net::TcpStream::connect(address).is_ok());
        let profile = tempfile::tempdir().unwrap();
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options(&profile, javascript));
        let url = format!("http://{address}");
        let window = ClientBuilder::rustls().unwrap().capabilities(capabilities).connect(&url).await.unwrap();
        Self { window, driver, _place: place, _profile: profile }
    }

    pub async fn open(&self, url: &str) {
        self.window.goto(url).await.unwrap();
    }

    /// Waits for the element of a CSS selector.
    pub async fn find(&self, css: &str) -> Element {
        let wait = self.window.wait().at_most(PATIENCE);
        match wait.for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error}: {}", self.text().await),
        }
    }

    /// Types into a field, in the place of what was there.
    pub async fn type_in(&self, name: &str, text: &str) {
        self.type_in_css(&format!("[name={name}]:not([type=hidden])"), text).await;
    }

    /// The same, into the field of a CSS selector.
    pub async fn type_in_css(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses the button that is called so, and waits for the next page.
    pub async fn press(&self, label: &str) {
        let xpath = format!("//button[normalize-space()={label:?}]");
        let button =
            self.window.find(Locator::XPath(&xpath)).await.unwrap_or_else(|_| panic!("no button {label}"));
        button.click().await.unwrap();
        // The page is another one once its button is gone.
        for _ in 0..LOOKS {
            if button.tag_name().await.is_err() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("nothing came of {label}: {}", self.text().await);
    }

    /// What a person reads.
    pub async fn text(&self) -> String {
        for _ in 0..LOOKS {
            if let Some(text) = self.glimpse().await {
                return text;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("there is no page");
    }

    /// The same; `None` where the page changes under our eyes.
    async fn glimpse(&self) -> Option<String> {
        self.window.find(Locator::Css("body")).await.ok()?.text().await.ok()
    }

    /// Waits until the page says so.
    pub async fn reads(&self, words: &str) {
        self.reads_any(&[words]).await;
    }

    /// Waits until the page says one of these.
    pub async fn reads_any(&self, words: &[&str]) {
        for _ in 0..LOOKS {
            let text = self.glimpse().await.unwrap_or_default();
            if words.iter().any(|words| text.contains(words)) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("the page does not say {words:?} but: {}", self.text().await);
    }

    /// Waits until a script says something else than `null`, `false` or nothing.
    pub async fn until(&self, fact: &str, script: &str) -> Value {
        for _ in 0..LOOKS {
            let value = self.window.execute(script, Vec::new()).await.unwrap_or_default();
            if !value.is_null() && value != false && value != "" {
                return value;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("it never came: {fact}; the page: {}", self.text().await);
    }

    /// Presses a key, wherever the focus is.
    pub async fn key(&self, key: Key) {
        let (down, up) = (KeyAction::Down { value: key.into() }, KeyAction::Up { value: key.into() });
        self.window.perform_actions(KeyActions::new("keys".to_owned()).then(down).then(up)).await.unwrap();
    }

    /// Makes pages as wide as a device of so many CSS pixels, and as high as all that is on them.
    pub async fn resize(&self, width: u64) {
        let device =
            |height: u64| json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.emulate("Emulation.setDeviceMetricsOverride", device(700)).await;
        let high = self.window.execute("return document.documentElement.scrollHeight", Vec::new()).await;
        let high = high.unwrap().as_u64().unwrap().clamp(700, 4_000);
        self.emulate("Emulation.setDeviceMetricsOverride", device(high)).await;
    }

    /// Gives Chromium an order that WebDriver has no word for.
    pub async fn emulate(&self, order: &str, parameters: Value) {
        self.window.issue_cmd(Order(json!({"cmd": order, "params": parameters}))).await.unwrap();
    }

    /// Keeps what is seen in the folder that `OCTROI_TEST_PICTURES` names, if it does.
    pub async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("OCTROI_TEST_PICTURES") {
            let picture = self.window.screenshot().await.unwrap();
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
        }
    }

    /// The address, without its origin.
    pub async fn place(&self) -> String {
        self.window.current_url().await.unwrap().path().to_owned()
    }

    pub async fn close(self) {
        self.window.clone().close().await.unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// An order in the developer tools' own tongue, as chromedriver takes it.
#[derive(Debug)]
struct Order(Value);

impl WebDriverCompatibleCommand for Order {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.to_string()))
    }
}

fn options(profile: &TempDir, javascript: bool) -> serde_json::Value {
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    let allowed = if javascript { 1 } else { 2 };
    json!({"args": arguments, "prefs": {"profile.managed_default_content_settings.javascript": allowed}})
}
