//! The two kinds of account, and who is who.

use subtle::ConstantTimeEq;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything inside the store: reading, writing, creating and dropping tables and databases.
    /// Files and hosts of the machine, other people's queries and the server itself are out of
    /// reach even for the owner, because whoever holds a password over HTTP is not whoever owns
    /// the machine.
    Owner,
    /// Reading tables, and what describes them.
    Reader,
}

/// A name, its password and its role.
#[derive(Clone)]
pub struct Account {
    /// The user name clients send.
    pub name: String,
    /// The password; must not be empty.
    pub password: String,
    /// What it may do.
    pub role: Role,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish()
    }
}

/// Accounts that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// An account without a password would let every program of the machine in.
    #[error("the account {name} has no password; set one")]
    NoPassword {
        /// The account's name.
        name: String,
    },
    /// Two accounts of one name.
    #[error("there are two accounts named {name}; give each a name of its own")]
    Duplicate {
        /// The name.
        name: String,
    },
}

/// All accounts of a server.
#[derive(Debug, Clone)]
pub struct Accounts(Vec<Account>);

impl Accounts {
    /// Takes the accounts of a server.
    ///
    /// # Errors
    /// An empty password, or one name twice.
    pub fn new(accounts: Vec<Account>) -> Result<Self, AccountsError> {
        for (i, account) in accounts.iter().enumerate() {
            let name = account.name.clone();
            if account.password.is_empty() {
                return Err(AccountsError::NoPassword { name });
            }
            if accounts[..i].iter().any(|other| other.name == name) {
                return Err(AccountsError::Duplicate { name });
            }
        }
        Ok(Accounts(accounts))
    }

    /// The role of `name` if `password` is its password. Takes the same time whether the name is
    /// known or not, and wherever the password differs.
    pub fn authenticate(&self, name: &str, password: &str) -> Option<Role> {
        let mut found = None;
        for account in &self.0 {
            let matches = account.name.as_bytes().ct_eq(name.as_bytes())
                & account.password.as_bytes().ct_eq(password.as_bytes());
            if bool::from(matches) {
                found = Some(account.role);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, password: &str, role: Role) -> Account {
        Account {
            name: name.to_owned(),
            password: password.to_owned(),
            role,
        }
    }

    #[test]
    fn only_the_right_password_opens() {
        let accounts = Accounts::new(vec![
            account("default", "one", Role::Owner),
            account("reader", "two", Role::Reader),
        ])
        .expect("two accounts");
        assert_eq!(accounts.authenticate("default", "one"), Some(Role::Owner));
        assert_eq!(accounts.authenticate("reader", "two"), Some(Role::Reader));
        for (name, password) in [
            ("default", "two"),
            ("reader", "one"),
            ("default", ""),
            ("", ""),
            ("x", "one"),
        ] {
            assert_eq!(accounts.authenticate(name, password), None);
        }
    }

    #[test]
    fn no_account_is_without_a_password_or_a_name_of_its_own() {
        let empty = Accounts::new(vec![account("default", "", Role::Owner)]);
        assert_eq!(
            empty.map(|_| ()).expect_err("refused"),
            AccountsError::NoPassword {
                name: "default".to_owned()
            }
        );
        let twice = Accounts::new(vec![
            account("a", "x", Role::Owner),
            account("a", "y", Role::Reader),
        ]);
        assert!(
            twice
                .expect_err("refused")
                .to_string()
                .contains("two accounts named a")
        );
    }
}
