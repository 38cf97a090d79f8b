use super::form::{Field, Value, fields};
use super::*;

const URLENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=----b";

fn label() -> Label {
    Label {
        owner: Owner {
            account: "direction@esat.example".parse().expect("a name"),
            caf: "921".parse().expect("a code"),
            siret: "73282932000074".parse().expect("a SIRET"),
            identifiant_communication: None,
        },
        target: "/saisie?x=1".to_owned(),
        content_type: URLENCODED.to_owned(),
        posted_at: "2026-12-15T11:00:00Z".parse().expect("an instant"),
        lacks_password: false,
        earlier: Vec::new(),
    }
}

fn text(name: &str, value: &str) -> Field {
    Field { name: name.to_owned(), value: Value::Text(value.to_owned()) }
}

#[test]
fn only_its_secret_opens_a_form_and_not_a_bit_of_it_shows() {
    let parked = Parked { label: label(), body: Bytes::from_static(b"salaire=secretissime") };
    let (token, other) = (Token::random().expect("entropy"), Token::random().expect("entropy"));
    let sealed = seal(&token, &parked).expect("sealed");
    assert_ne!(sealed, seal(&token, &parked).expect("sealed"), "a nonce serves once");
    let shows = |what: &[u8]| sealed.windows(what.len()).any(|window| window == what);
    assert!(!shows(b"secretissime") && !shows(b"direction") && !shows(&token.derive("x")[..8]));
    assert_eq!(open(&token, sealed.clone()), Some(parked));
    assert_eq!(open(&other, sealed.clone()), None);
    for place in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[place] ^= 1;
        assert_eq!(open(&token, altered), None, "byte {place}");
    }
    for length in 0..sealed.len() {
        assert_eq!(open(&token, sealed[..length].to_vec()), None, "{length} bytes");
    }
    assert_ne!(word(&token), word(&other));
    assert_ne!(word(&token), token.expose());
}

#[tokio::test]
async fn fields_are_read_whatever_the_page_was_written_in() {
    let read = |body: &'static [u8]| async move { fields(URLENCODED, &Bytes::from_static(body)).await };
    assert_eq!(
        read(b"nom=Dupont+%26+fils&pr%C3%A9nom=Zo%eb&vide=&seul&%zz=%4").await,
        Some(vec![
            text("nom", "Dupont & fils"),
            text("prénom", "Zoë"),
            text("vide", ""),
            text("seul", ""),
            text("%zz", "%4"),
        ])
    );
    // What browsers call Latin-1 has more characters.
    assert_eq!(
        read(b"prix=12%80&l%92%9cuvre=%c9t\xe9").await,
        Some(vec![text("prix", "12€"), text("l’œuvre", "Été")])
    );
    assert_eq!(fields("text/plain", &Bytes::from_static(b"a=b")).await, None);
    let many: Bytes = "a=1&".repeat(10_001).into();
    assert_eq!(fields(URLENCODED, &many).await, None);
}

#[tokio::test]
async fn passwords_are_left_out_and_all_else_stays_to_the_byte() {
    let body = b"a=%e9+1&mot_de_passe=x&MotDePasse2=y&mdp=z&user[password]=p&heures_depassees=3&&b=%26";
    let form = Form::read(URLENCODED, Bytes::from_static(body)).await.expect("a form");
    assert!(form.lacks_password());
    assert_eq!(form.into_body(), Bytes::from_static(b"a=%e9+1&heures_depassees=3&b=%26"));
    for name in
        ["newPwd", "mdp2", "userMdp", "user.pwd[1]", "MOT-DE-PASSE", "code_secret", "PIN", "j_password"]
    {
        let body = Bytes::from(format!("{name}=x&a=b"));
        assert_eq!(Form::read(URLENCODED, body).await.expect("a form").into_body(), "a=b", "{name}");
    }
    let plain = Bytes::from_static(b"a=1&&passage=2&impasse=3&numero_mdph=4&passeport=5&compass=6&pinel=7");
    let form = Form::read(URLENCODED, plain.clone()).await.expect("a form");
    assert!(!form.lacks_password());
    assert_eq!(form.into_body(), plain);
}

#[tokio::test]
async fn multipart_forms_are_read_and_stripped() {
    let body = "------b\r\nContent-Disposition: form-data; name=\"nom\"\r\n\r\nDupont\r\n\
                ------b\r\nContent-Disposition: form-data; name=\"mdp\"\r\n\r\nsecret\r\n\
                ------b\r\nContent-Disposition: form-data; name=\"bulletin\"; filename=\"paie.pdf\"\r\n\
                Content-Type: application/pdf\r\n\r\n%PDF\r\n--x\r\n------b--\r\n";
    let form = Form::read(MULTIPART, Bytes::from(body)).await.expect("a form");
    assert!(form.lacks_password());
    let (kind, body) = (form.content_type().to_owned(), form.into_body());
    assert!(!body.windows(6).any(|window| window == b"secret"));
    let expected = vec![
        text("nom", "Dupont"),
        Field { name: "bulletin".to_owned(), value: Value::File("paie.pdf".to_owned(), 9) },
    ];
    assert_eq!(fields(&kind, &body).await, Some(expected));
    for broken in
        ["", "------b\r\n", "rien", "------b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx"]
    {
        assert!(Form::read(MULTIPART, Bytes::from(broken)).await.is_none(), "{broken:?}");
    }
    assert!(Form::read("multipart/form-data", Bytes::from_static(b"x")).await.is_none());
}

#[tokio::test]
async fn multipart_forms_of_pages_in_latin_1_are_read_too() {
    let body = b"------b\r\nContent-Disposition: form-data; name=\"pr\xe9nom\"\r\n\r\nZo\xeb 5\x80\r\n\
                 ------b\r\nContent-Disposition: form-data; name=\"mot de passe cr\xe9\xe9\"\r\n\r\nsecret\r\n\
                 ------b\r\ncontent-disposition: FORM-DATA; filename=\"paie %22d\xe9c%22; 1.pdf\"; name=a\r\n\r\nx\xff\r\n\
                 ------b\r\nContent-Disposition: form-data; name=\"vide\"; filename=\"\"\r\n\r\n\r\n------b--\r\n";
    let form = Form::read(MULTIPART, Bytes::from_static(body)).await.expect("a form");
    assert!(form.lacks_password());
    let body = form.into_body();
    assert!(!body.windows(6).any(|window| window == b"secret"));
    assert!(body.windows(10).any(|window| window == b"Zo\xeb 5\x80\r\n--"), "to the byte");
    let file = |name: &str, file: &str, size| Field {
        name: name.to_owned(),
        value: Value::File(file.to_owned(), size),
    };
    let expected = vec![text("prénom", "Zoë 5€"), file("a", "paie \"déc\"; 1.pdf", 2), file("vide", "", 0)];
    assert_eq!(fields(MULTIPART, &body).await, Some(expected));
}

#[test]
fn what_may_be_a_form() {
    for kind in [URLENCODED, "APPLICATION/X-WWW-FORM-URLENCODED; charset=latin1", MULTIPART] {
        assert!(Form::is_one(kind), "{kind}");
    }
    for kind in ["", "text/plain", "application/json", "multipart/mixed; boundary=b"] {
        assert!(!Form::is_one(kind), "{kind}");
    }
}
