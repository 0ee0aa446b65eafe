//! All that is kept, in memory: a second implementation of every trait, which knows nothing of the first.

mod audit;
mod shares;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use compute::{Ref, scan_refs};
use compute_state::conformance::ModelQueue;
use compute_state::{
    ActiveStack, AuditLog, AuditOf, Bindings, Catalogue, Deed, Draft, File, JobQueue, KeptToken,
    NewToken, RecordPolicies, RecordPolicy, Rollout, Running, SealedSecrets, SecretError,
    SecretInfo, Shadow, Share, Shares, StackName, Stacks, StacksError, State, StateError,
    StateQuotas, TenantName, TenantState, TokenCheck, TokenInfo, TokenScope, Tokens, TokensError,
    TraceStore, TraceText, Traces, TracesError, UsageLog, Version, VersionInfo, WriteText,
    check_secret_name, manifest_hash,
};
use jiff::Timestamp;

use audit::{Chain, MemoryAudit};
use shares::MemoryShares;
use usage::MemoryUsage;

/// The logs of who changed the schedules of tenants.
type Schedules = Arc<Mutex<BTreeMap<TenantName, Chain>>>;

/// Everything. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct MemoryState {
    quotas: StateQuotas,
    tenants: Arc<Mutex<BTreeMap<TenantName, Arc<MemoryTenant>>>>,
    tokens: Arc<MemoryTokens>,
    jobs: ModelQueue,
    schedules: Schedules,
    usage: Arc<MemoryUsage>,
    shares: Arc<MemoryShares>,
}

impl MemoryState {
    pub(crate) fn new(quotas: StateQuotas) -> Self {
        let tokens =
            Arc::new(MemoryTokens { quotas, kept: RwLock::default(), audit: Mutex::default() });
        let schedules = Schedules::default();
        let logged = Arc::clone(&schedules);
        let log = move |tenant: &TenantName, deed: &Deed| {
            lock(&logged).entry(tenant.clone()).or_default().log(deed, quotas.audit_entries);
        };
        Self {
            quotas,
            tenants: Arc::default(),
            tokens,
            jobs: ModelQueue::new(quotas).logged(log),
            schedules,
            usage: Arc::default(),
            shares: Arc::default(),
        }
    }
}

impl State for MemoryState {
    fn tenant(&self, tenant: &TenantName) -> Result<Arc<dyn TenantState>, StateError> {
        let mut tenants = lock(&self.tenants);
        let new = || {
            let catalogue = MemoryCatalogue { quotas: self.quotas, kept: Mutex::default() };
            let traces = MemoryTraces { quotas: self.quotas, kept: Mutex::default() };
            Arc::new(MemoryTenant {
                name: tenant.clone(),
                tokens: Arc::clone(&self.tokens),
                schedules: Arc::clone(&self.schedules),
                catalogue: Arc::new(catalogue),
                traces: Arc::new(traces),
            })
        };
        Ok(Arc::clone(tenants.entry(tenant.clone()).or_insert_with(new)) as _)
    }

    fn tokens(&self) -> Result<Arc<dyn TokenCheck>, StateError> {
        Ok(Arc::clone(&self.tokens) as _)
    }

    fn jobs(&self) -> Result<Arc<dyn JobQueue>, StateError> {
        Ok(Arc::new(self.jobs.clone()))
    }

    fn usage(&self) -> Result<Arc<dyn UsageLog>, StateError> {
        Ok(Arc::clone(&self.usage) as _)
    }

    fn shares(&self) -> Result<Option<Arc<dyn Shares>>, StateError> {
        Ok(Some(Arc::clone(&self.shares) as _))
    }

    fn tenants(&self) -> Result<Vec<TenantName>, StateError> {
        Ok(lock(&self.tenants).keys().cloned().collect())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

#[derive(Debug)]
struct MemoryTenant {
    name: TenantName,
    tokens: Arc<MemoryTokens>,
    schedules: Schedules,
    catalogue: Arc<MemoryCatalogue>,
    traces: Arc<MemoryTraces>,
}

impl TenantState for MemoryTenant {
    fn catalogue(&self) -> Result<Arc<dyn Catalogue>, StateError> {
        Ok(Arc::clone(&self.catalogue) as _)
    }

    fn traces(&self) -> Result<Arc<dyn TraceStore>, StateError> {
        Ok(Arc::clone(&self.traces) as _)
    }

    fn audit(&self, of: AuditOf) -> Result<Arc<dyn AuditLog>, StateError> {
        let (catalogue, tokens) = (Arc::clone(&self.catalogue), Arc::clone(&self.tokens));
        let (schedules, tenant) = (Arc::clone(&self.schedules), self.name.clone());
        Ok(Arc::new(MemoryAudit { catalogue, tokens, schedules, tenant, of }))
    }
}

/// A tenant's stacks and secrets. A change is made on a copy, which then takes the place of what there was.
#[derive(Debug)]
struct MemoryCatalogue {
    quotas: StateQuotas,
    kept: Mutex<Kept>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    stacks: BTreeMap<StackName, Stack>,
    secrets: BTreeMap<String, (Timestamp, Vec<u8>)>,
    policy: Option<RecordPolicy>,
    changes: i64,
    audit: Chain,
}

#[derive(Clone, Debug, Default)]
struct Stack {
    active: Option<u32>,
    policy: Option<RecordPolicy>,
    shadow: Option<(u32, Share)>,
    rollout: Option<Rollout>,
    versions: BTreeMap<u32, KeptVersion>,
}

/// A version as it is kept.
#[derive(Clone, Debug)]
struct KeptVersion {
    created: Timestamp,
    activated: Option<Timestamp>,
    files: BTreeMap<String, String>,
}

impl KeptVersion {
    fn files(&self) -> Vec<File> {
        self.files.iter().map(|(path, text)| File::new(path, text)).collect()
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|(path, text)| (path.len() + text.len()) as u64).sum()
    }
}

impl Kept {
    fn get(&self, stack: &StackName, number: u32) -> Result<&KeptVersion, StacksError> {
        let version = self.stacks.get(stack).and_then(|stack| stack.versions.get(&number));
        version.ok_or_else(|| StacksError::NoVersion { stack: stack.clone(), number })
    }

    /// A version that was never active.
    /// Counts a change, and logs it.
    fn changed(&mut self, quotas: &StateQuotas, deed: Option<Deed>) {
        self.changes += 1;
        self.log(quotas, deed);
    }

    fn log(&mut self, quotas: &StateQuotas, deed: Option<Deed>) {
        if let Some(deed) = deed {
            self.audit.log(&deed, quotas.audit_entries);
        }
    }

    fn draft(&mut self, draft: &Draft) -> Result<&mut KeptVersion, StacksError> {
        let Draft { stack, number, .. } = draft;
        if self.get(stack, *number)?.activated.is_some() {
            return Err(StacksError::Immutable { stack: stack.clone(), number: *number });
        }
        let version = self.stacks.get_mut(stack).and_then(|stack| stack.versions.get_mut(number));
        version.ok_or_else(|| StacksError::NoStack(stack.clone()))
    }

    /// That a version is there, with the files that it must have.
    fn unchanged(&self, version: &Draft) -> Result<(), StacksError> {
        let Draft { stack, number, hash, .. } = version;
        let info = self.info(stack, *number)?;
        match hash {
            Some(hash) if info.hash != *hash => {
                Err(StacksError::Changed { stack: stack.clone(), number: *number })
            }
            _ => Ok(()),
        }
    }

    /// The same, and that it never changes from now on.
    fn freeze(&mut self, version: &Draft) -> Result<(), StacksError> {
        self.unchanged(version)?;
        let stack = self.stacks.get_mut(&version.stack);
        let version = stack.and_then(|stack| stack.versions.get_mut(&version.number));
        version.map(|version| version.activated.get_or_insert(Timestamp::now()));
        Ok(())
    }

    fn info(&self, name: &StackName, number: u32) -> Result<VersionInfo, StacksError> {
        let version = self.get(name, number)?;
        Ok(VersionInfo {
            stack: name.clone(),
            number,
            hash: manifest_hash(&version.files()),
            created: version.created,
            activated: version.activated,
            active: self.stacks[name].active == Some(number),
            rules: version.files.keys().filter(|path| path.ends_with(".txcl")).count() as u32,
        })
    }

    fn version(&self, name: &StackName, number: u32) -> Result<Version, StacksError> {
        Ok(Version::new(self.info(name, number)?, self.get(name, number)?.files()))
    }

    fn within(&self, quotas: &StateQuotas, stack: &StackName) -> Result<(), StacksError> {
        let all = || self.stacks.values().flat_map(|stack| stack.versions.values());
        let drafts = || all().filter(|version| version.activated.is_none());
        for (what, limit, used) in [
            ("stacks", quotas.stacks, self.stacks.len() as u64),
            ("versions that were never active", quotas.drafts, drafts().count() as u64),
            ("bytes of drafts", quotas.draft_bytes, drafts().map(KeptVersion::bytes).sum()),
            ("versions of a stack", quotas.versions, self.stacks[stack].versions.len() as u64),
            ("bytes of files", quotas.bytes, all().map(KeptVersion::bytes).sum()),
        ] {
            if used > limit {
                return Err(StacksError::Quota { what, limit });
            }
        }
        Ok(())
    }
}

impl MemoryCatalogue {
    fn read(&self) -> Kept {
        lock(&self.kept).clone()
    }

    /// Makes a change, unless it fails.
    fn change<T, E>(&self, change: impl FnOnce(&mut Kept) -> Result<T, E>) -> Result<T, E> {
        let mut kept = lock(&self.kept);
        let mut new = kept.clone();
        let done = change(&mut new)?;
        *kept = new;
        Ok(done)
    }
}

impl Stacks for MemoryCatalogue {
    fn stacks(&self) -> Result<Vec<ActiveStack>, StacksError> {
        let listed = |(name, stack): (StackName, Stack)| ActiveStack {
            stack: name,
            active: stack.active,
            versions: stack.versions.len() as u32,
            activated: stack.active.and_then(|active| stack.versions[&active].activated),
        };
        Ok(self.read().stacks.into_iter().map(listed).collect())
    }

    fn versions(&self, name: &StackName) -> Result<Vec<VersionInfo>, StacksError> {
        let kept = self.read();
        let stack = kept.stacks.get(name).ok_or_else(|| StacksError::NoStack(name.clone()))?;
        stack.versions.keys().rev().map(|number| kept.info(name, *number)).collect()
    }

    fn version(&self, name: &StackName, number: u32) -> Result<Version, StacksError> {
        self.read().version(name, number)
    }

    fn active(&self, name: &StackName) -> Result<Option<Version>, StacksError> {
        let kept = self.read();
        let active = kept.stacks.get(name).and_then(|stack| stack.active);
        active.map(|number| kept.version(name, number)).transpose()
    }

    fn draft(&self, name: &StackName, files: &[File]) -> Result<Draft, StacksError> {
        self.change(|kept| {
            let stack = kept.stacks.entry(name.clone()).or_default();
            let hash = manifest_hash(files);
            let same =
                stack.versions.iter().rev().find(|(_, one)| manifest_hash(&one.files()) == hash);
            if let Some((number, _)) = same {
                return Ok(Draft::new(name.clone(), *number));
            }
            let number = stack.versions.last_key_value().map_or(0, |(last, _)| *last) + 1;
            let files = files.iter().map(|file| (file.path.clone(), file.text.clone())).collect();
            let version = KeptVersion { created: Timestamp::now(), activated: None, files };
            stack.versions.insert(number, version);
            kept.within(&self.quotas, name)?;
            let draft = Draft::new(name.clone(), number);
            kept.log(&self.quotas, Some(Deed::draft_create(&draft, &hash)));
            Ok(draft)
        })
    }

    fn edit(&self, draft: &Draft, path: &str, text: Option<&str>) -> Result<(), StacksError> {
        self.change(|kept| {
            let files = &mut kept.draft(draft)?.files;
            let before = match text {
                Some(text) => {
                    files.insert(path.to_owned(), text.to_owned()).or(Some(String::new()))
                }
                None => files.remove(path),
            };
            if before.is_none() {
                let (stack, number) = (draft.stack.clone(), draft.number);
                return Err(StacksError::NoFile { stack, number, path: path.to_owned() });
            }
            kept.within(&self.quotas, &draft.stack)?;
            let hash = manifest_hash(&kept.draft(draft)?.files());
            kept.log(&self.quotas, Some(Deed::draft_edit(draft, path, &hash)));
            Ok(())
        })
    }

    fn delete_draft(&self, draft: &Draft) -> Result<(), StacksError> {
        self.change(|kept| kept.draft(draft).map(drop))?;
        self.forget(std::slice::from_ref(draft))
    }

    fn forget(&self, drafts: &[Draft]) -> Result<(), StacksError> {
        self.change(|kept| {
            let mut gone = Vec::new();
            for draft in drafts {
                if kept.draft(draft).is_ok()
                    && let Some(stack) = kept.stacks.get_mut(&draft.stack)
                {
                    stack.versions.remove(&draft.number);
                    gone.push(draft.clone());
                }
            }
            kept.stacks.retain(|_, stack| !stack.versions.is_empty());
            kept.log(&self.quotas, Deed::draft_delete(&gone));
            Ok(())
        })
    }

    fn activate(&self, versions: &[Draft]) -> Result<(), StacksError> {
        self.change(|kept| {
            let now = Timestamp::now();
            for version @ Draft { stack, number, .. } in versions {
                kept.unchanged(version)?;
                if let Some(stack) = kept.stacks.get_mut(stack) {
                    stack.active = Some(*number);
                    stack.versions.entry(*number).and_modify(|one| one.activated = Some(now));
                    stack.rollout = None;
                }
            }
            kept.changed(&self.quotas, Some(Deed::activate(versions)));
            Ok(())
        })
    }

    fn record_policies(&self) -> Result<RecordPolicies, StacksError> {
        let kept = self.read();
        let own = kept.stacks.into_iter().filter_map(|(name, stack)| Some((name, stack.policy?)));
        Ok(RecordPolicies { tenant: kept.policy, stacks: own.collect() })
    }

    fn set_record_policy(
        &self,
        stack: Option<&StackName>,
        policy: Option<RecordPolicy>,
    ) -> Result<(), StacksError> {
        let deed = Deed::record_policy(stack, policy.as_ref());
        self.change(|kept| {
            let place = match stack {
                None => &mut kept.policy,
                Some(name) => match kept.stacks.get_mut(name) {
                    Some(stack) => &mut stack.policy,
                    None => return Err(StacksError::NoStack(name.clone())),
                },
            };
            *place = policy;
            kept.changed(&self.quotas, Some(deed));
            Ok(())
        })
    }

    fn shadows(&self) -> Result<Vec<Shadow>, StacksError> {
        let shadow = |(stack, kept): (StackName, Stack)| {
            let (number, share) = kept.shadow?;
            Some(Shadow { stack, number, share })
        };
        Ok(self.read().stacks.into_iter().filter_map(shadow).collect())
    }

    fn set_shadow(&self, shadow: &Shadow, hash: Option<&str>) -> Result<(), StacksError> {
        self.change(|kept| {
            kept.freeze(&Draft::new(shadow.stack.clone(), shadow.number).with_hash(hash))?;
            if let Some(stack) = kept.stacks.get_mut(&shadow.stack) {
                stack.shadow = Some((shadow.number, shadow.share));
            }
            let shadows = kept.stacks.values().filter(|stack| stack.shadow.is_some()).count();
            let limit = self.quotas.shadows;
            if shadows as u64 > limit {
                return Err(StacksError::Quota { what: "stacks with a shadow", limit });
            }
            kept.changed(&self.quotas, Some(Deed::shadow_set(shadow)));
            Ok(())
        })
    }

    fn remove_shadow(&self, stack: &StackName) -> Result<(), StacksError> {
        self.change(|kept| {
            let shadow = kept.stacks.get_mut(stack).and_then(|stack| stack.shadow.take());
            kept.changed(&self.quotas, shadow.map(|_| Deed::shadow_remove(stack)));
            Ok(())
        })
    }

    fn rollouts(&self) -> Result<Vec<Rollout>, StacksError> {
        Ok(self.read().stacks.into_values().filter_map(|stack| stack.rollout).collect())
    }

    fn set_rollout(&self, rollout: &Rollout, hash: Option<&str>) -> Result<(), StacksError> {
        self.change(|kept| {
            let Rollout { stack: name, number, .. } = rollout;
            kept.freeze(&Draft::new(name.clone(), *number).with_hash(hash))?;
            if let Some(stack) = kept.stacks.get_mut(name) {
                if stack.active.is_none_or(|active| active == *number) {
                    let (stack, number) = (name.clone(), *number);
                    return Err(StacksError::NotBeside { stack, number });
                }
                stack.rollout = Some(rollout.clone());
            }
            let rollouts = kept.stacks.values().filter(|stack| stack.rollout.is_some()).count();
            let limit = self.quotas.rollouts;
            if rollouts as u64 > limit {
                return Err(StacksError::Quota { what: "stacks with a rollout", limit });
            }
            kept.changed(&self.quotas, Some(Deed::rollout_set(rollout)));
            Ok(())
        })
    }

    fn complete_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        self.change(|kept| {
            let Draft { stack: name, number, .. } = version;
            let none = || StacksError::NoRollout { stack: name.clone(), number: *number };
            let stack = kept.stacks.get_mut(name).ok_or_else(none)?;
            if stack.rollout.take().is_none_or(|rollout| rollout.number != *number) {
                return Err(none());
            }
            kept.unchanged(version)?;
            let stack = kept.stacks.get_mut(name).ok_or_else(none)?;
            stack.active = Some(*number);
            let now = Timestamp::now();
            stack.versions.entry(*number).and_modify(|one| one.activated = Some(now));
            kept.changed(&self.quotas, Some(Deed::rollout_complete(version)));
            Ok(())
        })
    }

    fn remove_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        self.change(|kept| {
            let Draft { stack, number, .. } = version;
            let of = kept.stacks.get_mut(stack);
            let taken = of.and_then(|one| one.rollout.take_if(|one| one.number == *number));
            if taken.is_none() {
                return Err(StacksError::NoRollout { stack: stack.clone(), number: *number });
            }
            kept.changed(&self.quotas, Some(Deed::rollout_remove(version)));
            Ok(())
        })
    }
}

impl Catalogue for MemoryCatalogue {
    fn running(&self) -> Result<Running, StacksError> {
        let kept = self.read();
        let active = kept.stacks.iter().filter_map(|(name, stack)| Some((name, stack.active?)));
        let active = active.map(|(name, number)| kept.info(name, number));
        let rollouts = kept.stacks.values().filter_map(|stack| stack.rollout.clone());
        let rollouts = rollouts.map(|rollout| {
            let info = kept.info(&rollout.stack, rollout.number)?;
            Ok::<_, StacksError>((rollout, info))
        });
        Ok(Running {
            active: active.collect::<Result<_, _>>()?,
            rollouts: rollouts.collect::<Result<_, _>>()?,
        })
    }

    fn change_number(&self) -> Result<i64, StacksError> {
        Ok(lock(&self.kept).changes)
    }

    fn restore(&self, version: &Version) -> Result<(), StacksError> {
        let Version { info, files, .. } = version;
        self.change(|kept| {
            let stack = kept.stacks.entry(info.stack.clone()).or_default();
            if let Some(there) = stack.versions.get(&info.number)
                && manifest_hash(&there.files()) != info.hash
            {
                return Err(StacksError::Taken { stack: info.stack.clone(), number: info.number });
            }
            let files = files.iter().map(|file| (file.path.clone(), file.text.clone())).collect();
            let (created, activated) = (info.created, info.activated);
            stack.versions.insert(info.number, KeptVersion { created, activated, files });
            if info.active {
                stack.active = Some(info.number);
            }
            kept.changes += 1;
            Ok(())
        })
    }

    fn naming(&self, artifact: &Ref) -> Result<Option<Draft>, StacksError> {
        let kept = self.read();
        for (name, stack) in &kept.stacks {
            for (number, version) in stack.versions.iter().rev() {
                let mut texts = version.files.values();
                if texts.any(|text| scan_refs(text).contains(artifact)) {
                    return Ok(Some(Draft::new(name.clone(), *number)));
                }
            }
        }
        Ok(None)
    }

    fn refs(&self) -> Result<Vec<Ref>, StacksError> {
        let kept = self.read();
        let versions = kept.stacks.values().flat_map(|stack| stack.versions.values());
        let texts = versions.flat_map(|version| version.files.values());
        let refs: BTreeSet<Ref> = texts.flat_map(|text| scan_refs(text)).collect();
        Ok(refs.into_iter().collect())
    }
}

impl SealedSecrets for MemoryCatalogue {
    fn secrets(&self) -> Result<Vec<SecretInfo>, SecretError> {
        let info = |(name, (set, _))| SecretInfo { name, set };
        Ok(self.read().secrets.into_iter().map(info).collect())
    }

    fn put_sealed(&self, name: &str, sealed: &[u8]) -> Result<(), SecretError> {
        check_secret_name(name)?;
        self.change(|kept| {
            kept.secrets.insert(name.to_owned(), (Timestamp::now(), sealed.to_vec()));
            kept.changed(&self.quotas, Some(Deed::secret_set(name)));
            if kept.secrets.len() > self.quotas.secrets as usize {
                return Err(SecretError::TooMany { limit: self.quotas.secrets });
            }
            let bytes: usize = kept.secrets.values().map(|(_, sealed)| sealed.len()).sum();
            if bytes as u64 > self.quotas.secret_bytes {
                return Err(SecretError::Quota { limit: self.quotas.secret_bytes });
            }
            Ok(())
        })
    }

    fn restore_sealed(&self, secret: &SecretInfo, sealed: &[u8]) -> Result<(), SecretError> {
        check_secret_name(&secret.name)?;
        self.change(|kept| {
            kept.secrets.insert(secret.name.clone(), (secret.set, sealed.to_vec()));
            kept.changes += 1;
            Ok(())
        })
    }

    fn delete_secret(&self, name: &str) -> Result<(), SecretError> {
        self.change(|kept| {
            kept.changed(&self.quotas, Some(Deed::secret_delete(name)));
            kept.secrets.remove(name).map(drop).ok_or_else(|| SecretError::none(name))
        })
    }

    fn sealed_secrets(&self) -> Result<BTreeMap<String, Vec<u8>>, SecretError> {
        let sealed = |(name, (_, sealed))| (name, sealed);
        Ok(self.read().secrets.into_iter().map(sealed).collect())
    }
}

#[derive(Debug)]
struct MemoryTokens {
    quotas: StateQuotas,
    kept: RwLock<BTreeMap<String, KeptToken>>,
    audit: Mutex<BTreeMap<TenantName, Chain>>,
}

impl MemoryTokens {
    fn log(&self, tenant: &TenantName, deed: &Deed) {
        let mut logs = lock(&self.audit);
        logs.entry(tenant.clone()).or_default().log(deed, self.quotas.audit_entries);
    }
}

impl Tokens for MemoryTokens {
    fn create(
        &self,
        tenant: Option<&TenantName>,
        name: &str,
        scopes: &BTreeSet<TokenScope>,
        expires: Option<Timestamp>,
    ) -> Result<NewToken, TokensError> {
        let tenant = tenant.cloned().unwrap_or_default();
        let (new, kept) = KeptToken::draw(&tenant, name, scopes, expires)?;
        let mut all = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = all.values().filter(|one| one.info.tenant == tenant).count();
        if of_tenant >= self.quotas.tokens as usize {
            return Err(TokensError::TooMany { limit: self.quotas.tokens });
        }
        all.insert(new.info.id.clone(), kept);
        self.log(&tenant, &Deed::token_create(&new.info));
        Ok(new)
    }

    fn list(&self, tenant: Option<&TenantName>) -> Result<Vec<TokenInfo>, TokensError> {
        let all = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let of = |info: &TokenInfo| tenant.is_none_or(|tenant| info.tenant == *tenant);
        let mut listed: Vec<_> =
            all.values().map(|one| one.info.clone()).filter(|info| of(info)).collect();
        listed.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(listed)
    }

    fn revoke(&self, id: &str, tenant: Option<&TenantName>) -> Result<(), TokensError> {
        let mut all = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let of = |one: &KeptToken| tenant.is_none_or(|tenant| one.info.tenant == *tenant);
        if !all.get(id).is_some_and(of) {
            return Err(TokensError::none(id));
        }
        if let Some(gone) = all.remove(id) {
            self.log(&gone.info.tenant, &Deed::token_revoke(id));
        }
        Ok(())
    }
}

impl TokenCheck for MemoryTokens {
    fn kept(&self) -> Result<Vec<KeptToken>, TokensError> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let mut kept: Vec<_> = kept.values().cloned().collect();
        kept.sort_by(|a, b| (a.info.created, &a.info.id).cmp(&(b.info.created, &b.info.id)));
        Ok(kept)
    }

    fn restore(&self, token: &KeptToken) -> Result<(), TokensError> {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.insert(token.info.id.clone(), token.clone());
        Ok(())
    }

    fn check(&self, token: &str) -> Result<Option<TokenInfo>, TokensError> {
        let all = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let kept = KeptToken::id_of(token).and_then(|id| all.get(id).cloned());
        Ok(KeptToken::check(kept, token, Timestamp::now()))
    }
}

#[derive(Debug)]
struct MemoryTraces {
    quotas: StateQuotas,
    /// The oldest first.
    kept: Mutex<Vec<(String, Arc<[u8]>)>>,
}

impl Traces for MemoryTraces {
    fn ids(&self) -> Result<Vec<String>, TracesError> {
        Ok(lock(&self.kept).iter().map(|(id, _)| id.clone()).collect())
    }

    fn read_text(&self, id: &str) -> Result<TraceText, TracesError> {
        let kept = lock(&self.kept);
        let exact = kept.iter().find(|(of, _)| of == id);
        let mut begin = kept.iter().filter(|(of, _)| !id.is_empty() && of.starts_with(id));
        let found = exact.or_else(|| begin.next().filter(|_| begin.next().is_none()));
        let (_, text) = found.ok_or_else(|| TracesError::NotFound(id.to_owned()))?;
        Ok(Box::new(Cursor::new(Arc::clone(text))))
    }
}

impl TraceStore for MemoryTraces {
    fn write(&self, id: &str, write: &mut WriteText<'_>) -> Result<(), TracesError> {
        let mut text = Vec::new();
        write(&mut text).map_err(|error| StateError::failed("a trace", error))?;
        let limit = self.quotas.trace_bytes;
        if text.len() as u64 > limit {
            return Err(TracesError::TooLarge { limit });
        }
        let mut kept = lock(&self.kept);
        kept.retain(|(of, _)| of != id);
        kept.push((id.to_owned(), text.into()));
        let bytes = |kept: &[(String, Arc<[u8]>)]| {
            kept.iter().map(|(_, text)| text.len() as u64).sum::<u64>()
        };
        while kept.len() > self.quotas.traces || bytes(&kept) > limit {
            kept.remove(0);
        }
        Ok(())
    }
}

/// The names of plugins.
#[derive(Debug, Default)]
pub(crate) struct MemoryBindings(Mutex<BTreeMap<String, Ref>>);

impl Bindings for MemoryBindings {
    fn bindings(&self) -> Result<BTreeMap<String, Ref>, StateError> {
        Ok(lock(&self.0).clone())
    }

    fn bind(&self, namespace: &str, plugin: Option<&Ref>) -> Result<Option<Ref>, StateError> {
        let mut all = lock(&self.0);
        Ok(match plugin {
            Some(plugin) => all.insert(namespace.to_owned(), plugin.clone()),
            None => all.remove(namespace),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
