//! How far a session's user has come. A transition consumes the stage before and demands the evidence
//! that only the module which proved it can make.

use serde::{Deserialize, Serialize};

use crate::account::{Before, GrantedCaf, PasswordChanged, SignedIn};
use crate::domain::{CafCode, Identifiant, IdentifiantCommunication, Siret, Timestamp};
use crate::establishment::KnownEstablishment;

/// Where a session's user stands; each variant owns only what is proven.
///
/// A stage is made by signing in and moved by evidence; it cannot be put together by hand:
///
/// ```compile_fail,E0451
/// use octroi::session::{Ready, Stage};
/// let _ = |holder, caf| Stage::Ready(Ready { holder, caf, identifiant_communication: None });
/// ```
///
/// Nor can the evidence:
///
/// ```compile_fail,E0451
/// use octroi::account::GrantedCaf;
/// let _ = GrantedCaf { code: "921".parse().unwrap() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Stage {
    /// Only a change of password is possible (rule 2).
    MustChangePassword(MustChangePassword),
    /// A Caf is to be chosen (rule 3).
    MustChooseCaf(MustChooseCaf),
    /// The Caf knows no such SIRET: the identifiant de communication is to be typed (rule 4).
    MustIdentifyEstablishment(MustIdentifyEstablishment),
    /// At a Caf.
    Ready(Ready),
}

/// Who a session's user is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    account: Identifiant,
    siret: Siret,
    cafs: Vec<CafCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_caf: Option<CafCode>,
    password_changed_at: Timestamp,
    #[serde(default)]
    before: Before,
}

/// Signed in with a password that only opens its own change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MustChangePassword {
    holder: Holder,
}

/// Signed in, at no Caf yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MustChooseCaf {
    holder: Holder,
}

/// Turned to a Caf that does not know the ESAT's SIRET.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MustIdentifyEstablishment {
    holder: Holder,
    caf: CafCode,
}

/// At a Caf that knows the ESAT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    holder: Holder,
    caf: CafCode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identifiant_communication: Option<IdentifiantCommunication>,
}

impl Stage {
    /// Where one stands who has just signed in.
    pub fn signed_in(evidence: SignedIn) -> Self {
        let must_change = evidence.must_change_password();
        let holder = Holder::from(evidence);
        if must_change {
            Self::MustChangePassword(MustChangePassword { holder })
        } else {
            Self::MustChooseCaf(MustChooseCaf { holder })
        }
    }

    /// Who the user is.
    pub fn holder(&self) -> &Holder {
        match self {
            Self::MustChangePassword(stage) => &stage.holder,
            Self::MustChooseCaf(stage) => &stage.holder,
            Self::MustIdentifyEstablishment(stage) => &stage.holder,
            Self::Ready(stage) => &stage.holder,
        }
    }

    /// The Caf that the user turned to, if any.
    pub fn caf(&self) -> Option<CafCode> {
        match self {
            Self::MustChangePassword(_) | Self::MustChooseCaf(_) => None,
            Self::MustIdentifyEstablishment(stage) => Some(stage.caf),
            Self::Ready(stage) => Some(stage.caf),
        }
    }

    /// The stage's name, as clients read it in `etat`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MustChangePassword(_) => "mot_de_passe_a_changer",
            Self::MustChooseCaf(_) => "caf_a_choisir",
            Self::MustIdentifyEstablishment(_) => "etablissement_a_identifier",
            Self::Ready(_) => "admis",
        }
    }

    /// The same place, with the password that was just changed; from a due password, on to the choice of Caf.
    #[must_use]
    pub fn password_changed(mut self, evidence: &PasswordChanged) -> Self {
        let holder = match &mut self {
            Self::MustChangePassword(stage) => {
                let mut holder = stage.holder.clone();
                holder.password_changed_at = evidence.at();
                return Self::MustChooseCaf(MustChooseCaf { holder });
            }
            Self::MustChooseCaf(stage) => &mut stage.holder,
            Self::MustIdentifyEstablishment(stage) => &mut stage.holder,
            Self::Ready(stage) => &mut stage.holder,
        };
        holder.password_changed_at = evidence.at();
        self
    }

    /// Back to the change of password, since the present one fell due.
    #[must_use]
    pub fn password_due(self) -> Self {
        Self::MustChangePassword(MustChangePassword { holder: self.into_holder() })
    }

    /// Back to the choice of Caf; one who must change their password stays there.
    #[must_use]
    pub fn left_caf(self) -> Self {
        match self {
            Self::MustChangePassword(_) => self,
            other => Self::MustChooseCaf(MustChooseCaf { holder: other.into_holder() }),
        }
    }

    fn into_holder(self) -> Holder {
        match self {
            Self::MustChangePassword(stage) => stage.holder,
            Self::MustChooseCaf(stage) => stage.holder,
            Self::MustIdentifyEstablishment(stage) => stage.holder,
            Self::Ready(stage) => stage.holder,
        }
    }
}

impl MustChooseCaf {
    /// On to a Caf of one's own. A `known` establishment opens the Caf itself; proof that is of another
    /// Caf counts for nothing.
    #[must_use]
    pub fn choose(mut self, granted: &GrantedCaf, known: Option<KnownEstablishment>) -> Stage {
        granted.cafs().clone_into(&mut self.holder.cafs);
        self.holder.last_caf = Some(granted.code());
        let asked = MustIdentifyEstablishment { holder: self.holder, caf: granted.code() };
        match known {
            Some(known) => asked.identify(&known),
            None => Stage::MustIdentifyEstablishment(asked),
        }
    }
}

impl MustIdentifyEstablishment {
    /// The Caf that asks.
    pub fn caf(&self) -> CafCode {
        self.caf
    }

    /// In, with an establishment that this Caf knows.
    #[must_use]
    pub fn identify(self, known: &KnownEstablishment) -> Stage {
        if known.caf() != self.caf {
            return Stage::MustIdentifyEstablishment(self);
        }
        Stage::Ready(Ready {
            holder: self.holder,
            caf: self.caf,
            identifiant_communication: known.identifiant_communication(),
        })
    }
}

impl Ready {
    /// Who the user is.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// The Caf.
    pub fn caf(&self) -> CafCode {
        self.caf
    }

    /// Back to saying which establishment it is, at the same Caf.
    #[must_use]
    pub fn again(self) -> MustIdentifyEstablishment {
        MustIdentifyEstablishment { holder: self.holder, caf: self.caf }
    }

    /// The identifiant de communication, where entry was by it.
    pub fn identifiant_communication(&self) -> Option<IdentifiantCommunication> {
        self.identifiant_communication
    }
}

impl Holder {
    /// The account's name.
    pub fn account(&self) -> &Identifiant {
        &self.account
    }

    /// The ESAT's SIRET.
    pub fn siret(&self) -> &Siret {
        &self.siret
    }

    /// The Cafs one may declare to.
    pub fn cafs(&self) -> &[CafCode] {
        &self.cafs
    }

    /// The Caf that was last turned to, in this session or in a former one.
    pub fn last_caf(&self) -> Option<CafCode> {
        self.last_caf
    }

    /// What happened to the account before its owner signed in.
    pub fn before(&self) -> Before {
        self.before
    }

    /// When the password was last changed.
    pub fn password_changed_at(&self) -> Timestamp {
        self.password_changed_at
    }
}

impl From<SignedIn> for Holder {
    fn from(evidence: SignedIn) -> Self {
        let before = evidence.before();
        let account = evidence.into_account();
        Self {
            before,
            account: account.identifiant,
            siret: account.siret,
            cafs: account.cafs,
            last_caf: account.last_caf,
            password_changed_at: account.password_changed_at,
        }
    }
}
